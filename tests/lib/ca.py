"""A certificate authority of the test's own, made with the openssl command."""

import datetime
import os
import subprocess

from wstserver import PATIENCE


# openssl x509 -req takes no end in the past any more (OpenSSL 3.5); openssl ca takes any date.
CONF = """
[ca]
default_ca = this
[this]
database = {dir}/index
new_certs_dir = {dir}
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
subjectAltName = {san}
"""


def openssl(*args, **options):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=PATIENCE,
                          **options).stdout


def new_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    return path


class Ca:
    """|pem| is its certificate."""

    def __init__(self, directory, name="Test CA"):
        self.dir = os.path.join(str(directory), name.replace(" ", "-"))
        os.makedirs(self.dir)
        self.key = new_key(self._path("ca.key"))
        self.pem = self._path("ca.pem")
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "30",
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.pem)

    def _path(self, name):
        return os.path.join(self.dir, name)

    def issue(self, name="leaf", san="DNS:localhost,IP:127.0.0.1", days=10):
        """A certificate and its key, as paths; |days| may be negative: it has expired."""
        key, request, pem = (self._path(f"{name}.{end}") for end in ("key", "csr", "pem"))
        new_key(key)
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        now = datetime.datetime.now(datetime.timezone.utc)
        first, last = (f"{now + datetime.timedelta(days=n):%Y%m%d%H%M%SZ}"
                       for n in (min(0, days - 1), days))
        open(self._path("index"), "w", encoding="ascii").close()
        openssl("ca", "-batch", "-notext", "-config", "/dev/stdin", "-in", request, "-cert",
                self.pem, "-keyfile", self.key, "-startdate", first, "-enddate", last, "-out", pem,
                input=CONF.format(dir=self.dir, san=san).encode())
        return pem, key


def pin(pem):
    """The hash of a certificate's public key, as --pinned-key wants it."""
    public = openssl("x509", "-in", pem, "-pubkey", "-noout")
    der = openssl("pkey", "-pubin", "-outform", "DER", input=public)
    digest = openssl("dgst", "-sha256", "-binary", input=der)
    return "sha256//" + openssl("base64", "-A", input=digest).decode()
