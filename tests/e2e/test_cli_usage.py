"""The command line of wsticket: options, help, man page, wrong usage.  Needs no server."""

import os
import re
import subprocess

import pytest

from cli import PATIENCE, TOP, WRAP, WSTICKET, environment, run

pytestmark = pytest.mark.quick

HEADER = os.path.join(TOP, "include", "wsticket", "wsticket.h.in")
TABLE = os.path.join(TOP, "examples", "wsticket", "options_table.c")
MAN = os.path.join(TOP, "examples", "wsticket", "wsticket.1")

# Fields that make no sense on a command line, and the lengths of lists.
NO_OPTION = re.compile(r"size|loop|uv_loop|arg|on_\w+|store_\w+|\w+_cb|\w+_count")
# Options whose name is not the field's with dashes and without its unit.
OTHER_NAMES = {"token_step": "no-token", "ticket_step": "no-ticket", "headers": "header",
               "subprotocols": "subprotocol", "parallel_dial": "no-parallel-dial",
               "offline_bytes": "offline-bytes"}


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def header_fields():
    body = re.search(r"struct wst_config \{(.*?)\n\};", read(HEADER), re.S).group(1)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    return re.findall(r"(\w+)\s*;", body)


def table_fields():
    """Field to option, as the table has them."""
    return dict(reversed(row) for row in
                re.findall(r'"([\w-]+)",[^{}]*?FIELD\((\w+)\)', read(TABLE)))


def help_options():
    """(letter, name, argument, text) of each option that --help names."""
    lines = run("--help").stdout.split("\n")
    options = []
    for line in lines:
        first = re.match(r"  (?:-(\w), )?--([\w-]+)(?: ([A-Z]+))?(?:\s+(\S.*))?$", line)
        if first:
            letter, name, argument, text = first.groups(default="")
            options.append([letter, name, argument, text])
        elif options and line.startswith(" " * 34):
            options[-1][3] += " " + line.strip()
        elif line.startswith("Environment"):
            break
    return [tuple(option[:3]) + (option[3].strip(),) for option in options]


def man_options():
    options = []
    lines = read(MAN).split("\n")
    for i, line in enumerate(lines):
        line = line.replace("\\-", "-")
        tag = re.match(r"(?:\\fB-(\w)\\fR, )?\\fB--([\w-]+)\\fR(?: \\fI(\w+)\\fR)?$", line)
        if tag and lines[i - 1] == ".TP":
            text = []
            for more in lines[i + 1:]:
                if more.startswith("."):
                    break
                text.append(more.replace("\\-", "-"))
            options.append(tuple(part or "" for part in tag.groups()) + (" ".join(text),))
    return options


def test_every_field_has_an_option():
    wanted = {f for f in header_fields() if not NO_OPTION.fullmatch(f)} - {"url"}
    assert len(wanted) > 60
    assert wanted == set(table_fields())


def test_option_names_follow_the_fields():
    for field, name in table_fields().items():
        usual = re.sub(r"_(ms|bytes|percent)$", "", field).replace("_", "-")
        assert name == OTHER_NAMES.get(field, usual), field


def test_options_of_the_design():
    names = {name for _, name, _, _ in help_options()}
    assert names >= set(
        "token-url ticket-url ws-url token-method ticket-method token-body ticket-body "
        "token-pointer ticket-pointer url-pointer expiry-pointer ticket-in query-name header "
        "subprotocol proxy ca-file client-cert client-key insecure compress base-delay cap "
        "give-up token token-file token-cache no-token no-ticket once max-attempts echo binary "
        "json timing help version close-on-eof quiet verbose".split())


def test_help_names_the_whole_table():
    in_table = set(re.findall(r'\{(?:0|\'\w\'), "([\w-]+)"', read(TABLE)))
    assert in_table == {name for _, name, _, _ in help_options()}


def test_help_and_man_page_agree():
    def same(text):
        return " ".join(text[0].lower().split()) + " ".join(text[1:].rstrip(".").split())
    ours, page = help_options(), man_options()
    assert [o[:3] for o in ours] == [o[:3] for o in page]
    for one, other in zip(ours, page):
        assert same(one[3]) == same(other[3])


def test_man_page_has_no_warning():
    done = subprocess.run(["man", "--warnings", "-l", MAN], capture_output=True, text=True,
                          timeout=30, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == ""
    assert "EXIT STATUS" in done.stdout


def test_help_warns_of_the_visible_command_line():
    texts = {name: text for _, name, _, text in help_options()}
    assert "can see the command line" in texts["token"]
    for name in ("token-body", "ticket-body", "header"):
        assert "visible" in texts[name]


def test_help_fits_a_terminal():
    for line in run("--help").stdout.split("\n"):
        assert len(line) < 80, line


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["connect", "--help"]])
def test_help(args):
    done = run(*args)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("Usage: wsticket connect URL")


@pytest.mark.parametrize("args", [["--version"], ["-V"], ["connect", "--version"]])
def test_version(args):
    done = run(*args)
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"wsticket \d+\.\d+\.\d+ \(libwsticket \d+\.\d+\.\d+, libuv [\d.]+, "
                        r"cJSON [\d.]+\)\n", done.stdout)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_disk(option):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*WRAP, WSTICKET, option], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=PATIENCE, env=environment())
    assert done.returncode == 1
    assert done.stderr == "wsticket: cannot write to stdout: No space left on device\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_reader_that_has_gone(option):
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as gone:
        done = subprocess.run([*WRAP, WSTICKET, option], stdout=gone, stderr=subprocess.PIPE,
                              text=True, timeout=PATIENCE, env=environment())
    assert done.returncode == 0 and done.stderr == ""


WRONG = [
    ([], "nothing to do: write wsticket connect URL"),
    (["listen"], 'unknown command "listen"'),
    (["connect"], "connect needs a URL"),
    (["connect", "https://a.test", "b"], "more than one URL"),
    (["connect", "--nonsense", "https://a.test"], "unknown option --nonsense"),
    (["connect", "--tok", "https://a.test"], "unknown option --tok"),
    (["connect", "-x", "https://a.test"], "unknown option -x\n"),
    (["connect", "-vq", "https://a.test"],
     "-v is followed by something: write options apart, as in -q -v\n"),
    (["connect", "--cpa=1s", "https://a.test"], "unknown option --cpa...\n"),
    (["connect", "https://a.test", "--cap"], "--cap needs a value: --cap TIME"),
    (["connect", "https://a.test", "--json=1"], "--json takes no value"),
    (["connect", "https://a.test", "--cap", "soon"], '--cap: "soon" is not a time'),
    (["connect", "https://a.test", "--cap", "-1"], '--cap: "-1" is not a time'),
    (["connect", "https://a.test", "--cap", ""], '--cap: "" is not a time'),
    (["connect", "https://a.test", "--cap", "1.5s"], '--cap: "1.5s" is not a time'),
    (["connect", "https://a.test", "--cap", "99999999999999999999"], "is not a time"),
    (["connect", "https://a.test", "--stable", "8d"], '--stable: "8d" is not a time'),
    (["connect", "https://a.test", "--stable", "200h"], '--stable: "200h" is not a time'),
    (["connect", "https://a.test", "--max-body", "1T"], '--max-body: "1T" is not a size'),
    (["connect", "https://a.test", "--max-body", "x"], '--max-body: "x" is not a size'),
    (["connect", "https://a.test", "--jitter", "101"], "--jitter: \"101\" is not a number from 0"),
    (["connect", "https://a.test", "--max-attempts", "many"], "--max-attempts: \"many\""),
    (["connect", "https://a.test", "--max-attempts", "4294967296"], "--max-attempts: "),
    (["connect", "https://a.test", "--give-up", "now"], "before-first-open, never, always"),
    (["connect", "https://a.test", "--ticket-in", "body"], "query, header, subprotocol"),
    (["connect", "https://a.test", "--expiry-format", "x"], "seconds, ms, epoch, epoch-ms, date"),
    (["connect", "https://a.test", "--log-level", "all"], "error, warn, info, debug"),
    (["connect", "https://a.test", "--unauthorized-codes", "1008,x"], "list of 1 to 16 close"),
    (["connect", "https://a.test", "--unauthorized-codes", "99"], "list of 1 to 16 close"),
    (["connect", "https://a.test", "--unauthorized-codes", ""], "list of 1 to 16 close"),
    (["connect", "https://a.test", "--header", "no colon"], "[STEP:]NAME:VALUE"),
    (["connect", "https://a.test", "--header", ":value"], "[STEP:]NAME:VALUE"),
    (["connect", "https://a.test", "--header", "tikcet:Origin:x"], "--header: no such step; write t"
     "oken:, ticket: or connect: in front"),
    (["connect", "https://a.test", "--header", "Token:Origin:x"], "--header: no such step"),
    (["connect", "https://a.test", "--header", "upgrade:Origin:https://x"], "--header: no such st"),
    (["connect", "https://a.test", "--token-cache", "/nonexistent/file"], "--token-cache: no file "
     "can be written into /nonexistent: No such file"),
    (["connect", "https://a.test", "--token-cache", "/tmp"], "--token-cache: is a directory"),
    (["connect", "https://a.test", "--token-cache", ""], "--token-cache: names no file"),
    (["connect", "https://a.test", "--ca-file", "/nowhere/ca.pem"],
     "--ca-file: cannot read /nowhere/ca.pem: No such file"),
    (["connect", "https://a.test", "--ca-file", "/"], "--ca-file: / is a directory"),
    (["connect", "https://a.test", "--ca-dir", "/nowhere"], "--ca-dir: cannot read /nowhere"),
    (["connect", "https://a.test", "--ca-dir", "/dev/null"], "--ca-dir: /dev/null is not a dir"),
    (["connect", "https://a.test", "--client-cert", "/nowhere"], "--client-cert: cannot read"),
    (["connect", "https://a.test", "--client-key", "/nowhere"], "--client-key: cannot read"),
    (["connect", "https://a.test", "--token-file", "/nowhere"], "--token-file: cannot read"),
    (["connect", "https://a.test", "--token-file", "/dev/null"], "/dev/null is empty"),
    (["connect", "https://a.test", "--once", "--max-attempts", "2"], "--once is one attempt"),
    (["connect", "https://a.test", "--token", "a", "--no-token"], "--no-token leaves the token"),
    (["connect", "https://a.test", "--token", "a", "--token-file", "/etc/hostname"],
     "--token and --token-file exclude each other"),
    (["connect", "https://a.test", "-q", "-v"], "--quiet and --verbose exclude each other"),
    (["connect", "https://a.test", "--compress-min", "2k"], "they need --compress"),
    (["connect", "https://a.test", "--max-queue", "64k", "--queue-low-water", "10M"],
     "--queue-low-water: must be less than --max-queue"),
    (["connect", "https://a.test", "--compress-offer", "permessage-deflate"],
     "they need --compress"),
]


@pytest.mark.parametrize("args,text", WRONG, ids=[" ".join(a[-2:]) or "-" for a, _ in WRONG])
def test_wrong_usage(args, text):
    done = run(*args)
    assert done.returncode == 1
    assert done.stdout == ""
    assert text in done.stderr
    assert done.stderr.endswith("Try 'wsticket --help'.\n")
    assert len(done.stderr.split("\n")) == 3, "one line, and where to read on"


# What the library refuses: told in the words of the command line, and still wrong usage.
REFUSED = [
    (["connect", "ftp://a.test"], "URL"),
    (["connect", "https://"], "URL"),
    (["connect", "not a url"], "URL"),
    (["connect", "https://a.test:99999"], "URL"),
    (["connect", "https://a.test/?a=1"], "URL has a query, which no other URL can be derived from"),
    (["connect", "http://a.test"], "set --allow-plaintext"),
    (["connect", "https://a.test", "--token-url", "ws://a.test"], "--token-url"),
    (["connect", "https://a.test", "--ws-url", "https://a.test"], "--ws-url"),
    (["connect", "https://a.test", "--cap", "10"], "--cap: must not be less than --base-delay"),
    (["connect", "https://a.test", "--max-queue", "5"], "--max-queue: must be from 1024"),
    (["connect", "https://a.test", "--tls-min", "1.1"], '--tls-min: must be "1.2" or "1.3"'),
    (["connect", "https://a.test", "--ticket-pointer", "ticket"], "--ticket-pointer: must be a"),
    (["connect", "https://a.test", "--header", "Host: b"], "--header[0]: Host is made by the lib"),
    (["connect", "https://a.test", "--subprotocol", "a b"], "--subprotocol[0]: must be a token"),
    (["connect", "https://a.test", "--token", "a b"], "--token: must be visible characters"),
    (["connect", "https://a.test", "--query-name", ""], "--query-name: must not be empty"),
    (["connect", "--ws-url", "wss://a.test"], "--token-url"),
]


@pytest.mark.parametrize("args,text", REFUSED, ids=[" ".join(a[-2:]) for a, _ in REFUSED])
def test_refused_configuration(args, text):
    done = run(*args)
    assert done.returncode == 1
    assert done.stdout == ""
    assert text in done.stderr
    assert done.stderr.endswith("Try 'wsticket --help'.\n")
    assert "_" not in done.stderr, "names of fields are for programmers"


CERT = ("PEM certificate", "openssl x509")
KEY = ("PEM private key", "openssl pkey")


@pytest.mark.parametrize("option,lacks", [("--ca-file", CERT), ("--client-cert", CERT),
                                          ("--client-key", KEY)])
@pytest.mark.parametrize("content", [b"", b"\x30\x82\x01\x0a\x00\n" * 100,
                                     b"-----BEGIN PUBLIC KEY-----\n", b"ca.example\n"])
def test_a_file_without_what_it_is_for(option, lacks, content, tmp_path):
    path = tmp_path / "file.pem"
    path.write_bytes(content)
    done = run("connect", option, str(path), "https://a.test")
    assert done.returncode == 1
    what, convert = lacks
    assert done.stderr.startswith(f"wsticket: {option}: there is no {what} in {path}; ")
    assert f"{convert} -inform DER -in {path}" in done.stderr


def test_a_key_without_its_certificate(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(PEM)
    refused = run("connect", "https://a.test", "--client-key", str(path))
    assert refused.returncode == 1
    assert "--client-cert, --client-key: give both or none" in refused.stderr


@pytest.mark.parametrize("way", ["--token", "--token-file", "WSTICKET_TOKEN"])
def test_a_bad_token_is_named_by_its_place(way, tmp_path):
    path = tmp_path / "token"
    path.write_text("s3cret value\n")
    args = {"--token": ["--token", "s3cret value"], "--token-file": ["--token-file", str(path)]}
    env = {"WSTICKET_TOKEN": "s3cret value"} if way == "WSTICKET_TOKEN" else {}
    done = run("connect", "https://a.test", *args.get(way, []), **env)
    assert done.returncode == 1
    assert done.stderr.startswith(f"wsticket: {way}: must be visible characters without spaces\n")
    assert "s3cret" not in done.stdout + done.stderr


SECRET_URL = "https://user:s3cret@a.test/?token=s3cret"
LONG = "s3cret" * 6
JWT = "s3cret" * 20
PEM = "-----BEGIN PRIVATE KEY-----\ns3cret\n"
SECRETS = [["--token", "s3cret value"], ["--header", "s3cret"], ["--header", "Cookie: s3cret\x01"],
           ["--token-url", "ftp://user:s3cret@a.test/"], ["--proxy", "nonsense://s3cret@b.test"],
           # A value right behind the name, or behind a name that is none.
           ["-HAuthorization:Bearer s3cret"], ["-ts3cret"], ["-v=s3cret"], ["--tokn=s3cret"],
           ["--header:Cookie:s3cret"], ["--" + LONG], ["--json=s3cret"],
           # A word in the place of another one.
           *([option, value] for value in (SECRET_URL, LONG) for option in (
               "--cap", "--max-body", "--jitter", "--give-up", "--unauthorized-codes")),
           *([option, value] for value in (SECRET_URL, JWT, PEM) for option in (
               "--ca-file", "--ca-dir", "--client-key", "--token-file")),
           ["--token-cache", f"{SECRET_URL}/file"], ["https://a.test", SECRET_URL]]


@pytest.mark.parametrize("args", SECRETS, ids=[repr(" ".join(a)) for a in SECRETS])
def test_errors_repeat_no_secret(args):
    done = run("connect", "https://a.test", *args)
    assert done.returncode == 1
    assert "s3cret" not in done.stdout + done.stderr


def test_a_path_is_repeated():
    """Which file it is must be seen, also when its name is long."""
    path = "/no:such/My_Companys_Root_Certificate_for_All_Purposes=2024@a.test.pem"
    done = run("connect", "https://a.test", "--ca-file", path)
    assert done.returncode == 1
    assert f"--ca-file: cannot read {path}: No such file or directory" in done.stderr


@pytest.mark.parametrize("word", [SECRET_URL, "a.test/s3cret", "a.test?s3cret", LONG])
def test_a_url_without_the_command_is_not_repeated(word):
    done = run(word)
    assert done.returncode == 1
    assert done.stderr == ("wsticket: the command is missing: write wsticket connect URL\n"
                           "Try 'wsticket --help'.\n")


def test_unreadable_token_file(tmp_path):
    path = tmp_path / "token"
    path.write_bytes(b"x" * 70000)
    done = run("connect", "https://a.test", "--token-file", str(path))
    assert done.returncode == 1
    assert f"--token-file: {path} could not be read as a token" in done.stderr
