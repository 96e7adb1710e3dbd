# pyftpdlib as a server with TLS required on both connections, in the foreground.
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer

port, passive, root, certificate, key, user, password = sys.argv[1:]
first, last = map(int, passive.split("-"))
handler = TLS_FTPHandler
handler.certfile, handler.keyfile = certificate, key
handler.tls_control_required = handler.tls_data_required = True
handler.passive_ports = range(first, last + 1)
handler.authorizer = DummyAuthorizer()
handler.authorizer.add_user(user, password, root, perm="elradfmwMT")
FTPServer(("127.0.0.1", int(port)), handler).serve_forever()
