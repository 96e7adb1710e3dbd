# What every ftplib script of the tests starts with: a private session, logged in, data connections private.
import ftplib, io, ssl, sys

host, port, ca, user, password = sys.argv[1:]
ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=ca), timeout=20)
ftp.connect(host, int(port))
ftp.login(user, password)
ftp.prot_p()


def fetch(command):
    taken = io.BytesIO()
    reply = ftp.retrbinary(command, taken.write)
    return reply, taken.getvalue()
