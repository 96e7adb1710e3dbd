// An FTPS client in Java that resumes its control connection's TLS session on every data connection. JSSE keeps sessions
// by host and port, so it is shown the newest one under the data port, as clients do that get through to vsftpd.
import java.io.*;
import java.lang.reflect.*;
import java.net.Socket;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

public class Resume {
    static BufferedReader in;
    static Writer out;

    static String hear(String code) throws IOException {
        String line;
        do line = in.readLine(); while (line != null && !line.matches("\\d{3} .*"));
        if (line == null || !line.startsWith(code)) throw new IOException("not " + code + ": " + line);
        return line;
    }

    static String say(String line, String code) throws IOException {
        out.write(line + "\r\n");
        out.flush();
        return hear(code);
    }

    static Object cache;

    static Object cached(String name, Object... values) throws Exception {
        for (Method method : cache.getClass().getMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == values.length) {
                method.setAccessible(true);
                return method.invoke(cache, values);
            }
        }
        throw new NoSuchMethodException(name);
    }

    static void talk(Socket socket) throws IOException {
        in = new BufferedReader(new InputStreamReader(socket.getInputStream(), "US-ASCII"));
        out = new OutputStreamWriter(socket.getOutputStream(), "US-ASCII");
    }

    public static void main(String[] args) throws Exception {
        String host = args[0], protocol = args[5];
        int port = Integer.parseInt(args[1]);
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (InputStream ca = Files.newInputStream(Path.of(args[2]))) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(ca));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        SSLSocketFactory factory = context.getSocketFactory();

        Socket plain = new Socket(host, port);
        plain.setTcpNoDelay(true);
        talk(plain);
        hear("220");
        say("AUTH TLS", "234");
        SSLSocket control = (SSLSocket) factory.createSocket(plain, host, port, true);
        control.setEnabledProtocols(new String[] {protocol});
        control.startHandshake();
        talk(control);
        SSLSessionContext sessions = context.getClientSessionContext();
        Field field = sessions.getClass().getDeclaredField("sessionHostPortCache");
        field.setAccessible(true);
        cache = field.get(sessions);
        say("USER " + args[3], "331");
        say("PASS " + args[4], "230");
        say("PBSZ 0", "200");
        say("PROT P", "200");
        for (int n = 0; n < Integer.parseInt(args[6]); n++) {
            String[] parts = say("EPSV", "229").split("\\|");
            // A ticket that comes on a data connection is kept under the port of the first one, too.
            cached("put", host + ":" + parts[3], cached("get", host + ":" + port));
            Socket tcp = new Socket(host, Integer.parseInt(parts[3]));
            SSLSocket data = (SSLSocket) factory.createSocket(tcp, host, tcp.getPort(), true);
            data.setEnabledProtocols(new String[] {protocol});
            say("RETR file", "150");
            data.startHandshake();
            byte[] got = data.getInputStream().readAllBytes();
            data.close();
            hear("226");
            if (!new String(got, "US-ASCII").equals("payload")) throw new IOException(n + ": " + got.length + " bytes");
        }
        say("QUIT", "221");
    }
}
