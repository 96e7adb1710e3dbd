// The agenda of the table with Apache Commons Net.
import java.io.*;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;
import org.apache.commons.net.ftp.*;

public class CommonsNet {
    static FTPSClient ftp = new FTPSClient("TLS", false);

    static void must(String what, boolean done) throws IOException {
        if (!done) throw new IOException(what + ": " + ftp.getReplyString());
    }

    static void get(String from, String to, long prefix) throws IOException {
        ftp.setRestartOffset(prefix);
        try (OutputStream file = new FileOutputStream(to, prefix > 0)) {
            must("get " + from, ftp.retrieveFile(from, file));
        }
    }

    static void put(String name, long prefix) throws IOException {
        ftp.setRestartOffset(prefix);
        try (InputStream file = new FileInputStream(name)) {
            file.skipNBytes(prefix);
            must("put " + name, ftp.storeFile(name, file));
        }
    }

    public static void main(String[] args) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (InputStream ca = Files.newInputStream(Path.of(args[2]))) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(ca));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        ftp.setTrustManager(trust.getTrustManagers()[0]);
        ftp.setEndpointCheckingEnabled(true);
        ftp.setDefaultTimeout(20000);
        ftp.setDataTimeout(20000);
        ftp.connect(args[0], Integer.parseInt(args[1]));
        ftp.setSoTimeout(20000);
        must("login", ftp.login(args[3], args[4]));
        ftp.execPBSZ(0);
        ftp.execPROT("P");
        ftp.enterLocalPassiveMode();
        must("binary", ftp.setFileType(FTP.BINARY_FILE_TYPE));
        long prefix = Long.parseLong(args[5]);
        get("big", "big", 0);
        put("up", 0);
        String[] names = ftp.listNames("many");
        must("list", names != null);
        Files.writeString(Path.of("listing"), String.join("\n", names) + "\n");
        for (String path : names) {
            // pure-ftpd names the directory itself and its parent, too.
            if (!path.contains("hollow-")) continue;
            String name = path.substring(path.lastIndexOf('/') + 1);
            get("many/" + name, "got/" + name, 0);
        }
        get("rest", "rest", prefix);
        put("more", prefix);
        must("rename", ftp.rename("old", "new"));
        must("delete", ftp.deleteFile("doomed"));
        ftp.logout();
        ftp.disconnect();
    }
}
