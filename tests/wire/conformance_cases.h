/*
 * Our own table of conformance cases (RFC 6455): what a server sends, and what must come of it.
 * Each is run whole, byte by byte, and at random splits; see test_conformance.c.
 *
 * The list of sections behind it says where the others are tested.  RFC 7692 has a table of its own
 * in test_deflate.c.
 */
#ifndef TESTS_WIRE_CONFORMANCE_CASES_H
#define TESTS_WIRE_CONFORMANCE_CASES_H

#include <stddef.h>

enum {
    BY_WSLAY = 1, /* The check is wslay's: without it the case must fail. */
    WE_CLOSE = 2, /* Our close frame, with the code 1000, has left before anything comes. */
};

struct conformance_case {
    const char *section;
    const char *name;
    const char *input;  /* As for bytes_from(). */
    const char *events; /* What the application sees, in order. */
    const char *output; /* What is answered. */
    size_t max_message; /* 0: 1 MiB. */
    unsigned flags;
};

#define PROTOCOL_ERROR "error(WS_PROTOCOL 1002)"
#define UTF8_ERROR     "error(WS_BAD_UTF8 1007)"
#define SIZE_ERROR     "error(WS_TOO_LARGE 1009)"
#define CLOSE_1000     "close(03e8)"
#define CLOSE_1002     "close(03ea)"
#define CLOSE_1007     "close(03ef)"
#define CLOSE_1009     "close(03f1)"

#define BROKEN(section, name, input)                                                               \
    {                                                                                              \
        section, name, input, PROTOCOL_ERROR, CLOSE_1002, 0, 0                                     \
    }
#define BROKEN_WSLAY(section, name, input)                                                         \
    {                                                                                              \
        section, name, input, PROTOCOL_ERROR, CLOSE_1002, 0, BY_WSLAY                              \
    }
#define NOT_UTF8(name, input)                                                                      \
    {                                                                                              \
        "8.1", name, input, UTF8_ERROR, CLOSE_1007, 0, 0                                           \
    }
#define FINE(section, name, input, events)                                                         \
    {                                                                                              \
        section, name, input, events, "", 0, 0                                                     \
    }
#define CLOSES(section, name, input, events, output)                                               \
    {                                                                                              \
        section, name, input, events, output, 0, 0                                                 \
    }
#define WE_CLOSED(section, name, input, events)                                                    \
    {                                                                                              \
        section, name, input, events, CLOSE_1000, 0, WE_CLOSE                                      \
    }

static const struct conformance_case conformance_cases[] = {
    /* ---- 5.1: a server never masks --------------------------------------------------------- */
    BROKEN("5.1", "masked text", "8185 37fa213d 7f9f4d5158"),
    BROKEN("5.1", "masked text, key of zeros", "8185 00000000 'Hello'"),
    BROKEN("5.1", "masked empty text", "8180 01020304"),
    BROKEN("5.1", "masked binary, 16-bit length", "82fe 0100 01020304 256*00"),
    BROKEN("5.1", "masked binary, 64-bit length", "82ff 0000000000010000 01020304 16*00"),
    BROKEN("5.1", "masked ping", "8982 01020304 0000"),
    BROKEN("5.1", "masked close", "8882 00000000 03e8"),
    BROKEN("5.1", "masked continuation", "0101 61 8081 00000000 61"),
    {"5.1", "masked frame after a message", "8101 61 8181 00000000 62", "text(a) " PROTOCOL_ERROR,
     CLOSE_1002, 0, 0},

    /* ---- 5.2: reserved bits ---------------------------------------------------------------- */
    BROKEN("5.2", "RSV1 on text", "c105 'Hello'"),
    BROKEN("5.2", "RSV2 on text", "a105 'Hello'"),
    BROKEN("5.2", "RSV3 on text", "9105 'Hello'"),
    BROKEN("5.2", "all RSV on text", "f105 'Hello'"),
    BROKEN("5.2", "RSV1 on binary", "c201 00"),
    BROKEN("5.2", "RSV1 on an empty text", "c100"),
    BROKEN("5.2", "RSV2 on a fragment", "2101 61 8001 62"),
    BROKEN("5.2", "RSV1 on a continuation", "0101 61 c001 62"),
    BROKEN("5.2", "RSV1 on a ping", "c900"),
    BROKEN("5.2", "RSV3 on a pong", "9a00"),
    BROKEN("5.2", "RSV2 on a close", "a802 03e8"),
    {"5.2", "RSV after a message", "8101 61 c101 62", "text(a) " PROTOCOL_ERROR, CLOSE_1002, 0, 0},
    BROKEN("5.2", "RSV on a header whose payload never comes", "c17e ffff"),

    /* ---- 5.2: opcodes ---------------------------------------------------------------------- */
    BROKEN("5.2", "opcode 3", "8300"),
    BROKEN("5.2", "opcode 4", "8401 61"),
    BROKEN("5.2", "opcode 5", "8500"),
    BROKEN("5.2", "opcode 6", "8600"),
    BROKEN("5.2", "opcode 7", "8700"),
    BROKEN("5.2", "opcode 11", "8b00"),
    BROKEN("5.2", "opcode 12", "8c01 61"),
    BROKEN("5.2", "opcode 13", "8d00"),
    BROKEN("5.2", "opcode 14", "8e00"),
    BROKEN("5.2", "opcode 15", "8f00"),
    BROKEN("5.2", "opcode 3 with a payload", "8305 'Hello'"),
    BROKEN("5.2", "opcode 3 inside a message", "0101 61 8301 62"),
    BROKEN("5.2", "opcode 11 inside a message", "0101 61 8b00"),
    BROKEN("5.2", "opcode 7, header only", "877e 1000"),

    /* ---- 5.2: lengths ---------------------------------------------------------------------- */
    FINE("5.2", "empty text", "8100", "text()"),
    FINE("5.2", "empty binary", "8200", "binary()"),
    FINE("5.2", "length 1", "8101 61", "text(a)"),
    FINE("5.2", "length 5", "8105 'Hello'", "text(Hello)"),
    FINE("5.2", "length 125", "817d 125*61",
         "text("
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)"),
    FINE("5.2", "length 126", "817e 007e 126*61",
         "text("
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)"),
    FINE("5.2", "length 127", "827e 007f 127*61",
         "binary("
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)"),
    FINE("5.2", "length 128", "827e 0080 128*61",
         "binary("
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)"),
    FINE("5.2", "length 4092: the largest that wslay's buffer takes", "827e 0ffc 4092*61",
         "binary(4092 bytes, hash b806e2de167c5c71)"),
    FINE("5.2", "length 4093", "827e 0ffd 4093*61", "binary(4093 bytes, hash 300f8f6035506f30)"),
    FINE("5.2", "length 65535", "817e ffff 65535*61", "text(65535 bytes, hash 05bc1a0688606ba6)"),
    FINE("5.2", "length 65536", "817f 0000000000010000 65536*61",
         "text(65536 bytes, hash 1f0c0019bbd72325)"),
    FINE("5.2", "length 65537, binary", "827f 0000000000010001 65537*ff",
         "binary(65537 bytes, hash 74097a1c5009eb6e)"),
    BROKEN_WSLAY("5.2", "16 bits for length 0", "817e 0000"),
    BROKEN_WSLAY("5.2", "16 bits for length 1", "817e 0001 61"),
    BROKEN_WSLAY("5.2", "16 bits for length 125", "817e 007d 125*61"),
    BROKEN_WSLAY("5.2", "64 bits for length 0", "827f 0000000000000000"),
    BROKEN_WSLAY("5.2", "64 bits for length 5", "817f 0000000000000005 'Hello'"),
    BROKEN_WSLAY("5.2", "64 bits for length 125", "827f 000000000000007d 125*61"),
    BROKEN_WSLAY("5.2", "64 bits for length 126", "827f 000000000000007e 126*61"),
    BROKEN_WSLAY("5.2", "64 bits for length 65535", "817f 000000000000ffff 65535*61"),
    BROKEN_WSLAY("5.2", "highest bit of the length", "827f 8000000000000001 61"),
    BROKEN_WSLAY("5.2", "all bits of the length", "827f ffffffffffffffff 61"),
    BROKEN_WSLAY("5.2", "16 bits for length 3 of a fragment", "017e 0003 618000 8000"),
    BROKEN_WSLAY("5.2", "16 bits for length 3 of a continuation", "0101 61 807e 0003 'abc'"),
    {"5.2", "16 bits for length 3 after a message", "8101 61 817e 0003 'abc'",
     "text(a) " PROTOCOL_ERROR, CLOSE_1002, 0, BY_WSLAY},
    FINE("5.2", "two messages", "8101 61 8101 62", "text(a) text(b)"),
    FINE("5.2", "two types", "8101 61 8201 00", "text(a) binary(00)"),
    FINE("5.2", "many empty messages", "5*8200", "binary() binary() binary() binary() binary()"),
    FINE("5.2", "an incomplete header", "81", ""),
    FINE("5.2", "an incomplete 16-bit length", "817e 01", ""),
    FINE("5.2", "an incomplete 64-bit length", "827f 00000000", ""),
    FINE("5.2", "an incomplete payload", "8105 'Hell'", ""),
    FINE("5.2", "a message, then an incomplete one", "8101 61 8105 'H'", "text(a)"),

    /* ---- 5.4: fragments -------------------------------------------------------------------- */
    FINE("5.4", "two fragments", "0103 'Hel' 8002 'lo'", "text(Hello)"),
    FINE("5.4", "binary in two fragments", "0203 'Hel' 8002 'lo'", "binary(Hello)"),
    FINE("5.4", "one byte each", "0101 48 0001 65 0001 6c 0001 6c 8001 6f", "text(Hello)"),
    FINE("5.4", "empty first fragment", "0100 8005 'Hello'", "text(Hello)"),
    FINE("5.4", "empty last fragment", "0105 'Hello' 8000", "text(Hello)"),
    FINE("5.4", "empty fragments between", "0102 'He' 0000 0000 0003 'llo' 0000 8000",
         "text(Hello)"),
    FINE("5.4", "nothing but empty fragments", "0100 0000 0000 8000", "text()"),
    FINE("5.4", "nothing but empty fragments, binary", "0200 0000 8000", "binary()"),
    FINE("5.4", "a thousand empty fragments", "0100 1000*0000 8001 61", "text(a)"),
    FINE("5.4", "fragments of different sizes", "0201 00 007e 0100 256*01 8001 02",
         "binary(258 bytes, hash d8173e507b7eb387)"),
    FINE("5.4", "a large fragment and a small one", "027e 2000 8192*61 8001 62",
         "binary(8193 bytes, hash b3f5fea8f313d1a5)"),
    FINE("5.4", "a small fragment and a large one", "0201 62 807e 2000 8192*61",
         "binary(8193 bytes, hash 3f92c6464c3891a5)"),
    FINE("5.4", "two fragmented messages", "0101 61 8001 62 0101 63 8001 64", "text(ab) text(cd)"),
    FINE("5.4", "fragmented, then whole", "0101 61 8001 62 8101 63", "text(ab) text(c)"),
    FINE("5.4", "whole, then fragmented", "8101 63 0101 61 8001 62", "text(c) text(ab)"),
    FINE("5.4", "an unfinished message", "0105 'Hello' 0001 61", ""),
    BROKEN("5.4", "a continuation first", "8005 'Hello'"),
    BROKEN("5.4", "an unfinished continuation first", "0005 'Hello'"),
    BROKEN("5.4", "an empty continuation first", "8000"),
    {"5.4", "a continuation after a whole message", "8101 61 8001 62", "text(a) " PROTOCOL_ERROR,
     CLOSE_1002, 0, 0},
    {"5.4", "a continuation after a fragmented message", "0101 61 8001 62 8001 63",
     "text(ab) " PROTOCOL_ERROR, CLOSE_1002, 0, 0},
    BROKEN("5.4", "text inside text", "0101 61 8101 62"),
    BROKEN("5.4", "text inside binary", "0201 61 8101 62"),
    BROKEN("5.4", "binary inside text", "0101 61 8201 62"),
    BROKEN("5.4", "a second first fragment", "0101 61 0101 62"),
    BROKEN("5.4", "empty text inside text", "0101 61 8100"),
    BROKEN("5.4", "text inside a message that is empty so far", "0100 8101 62"),
    {"5.4", "ping between fragments", "0103 'Hel' 8901 61 8002 'lo'", "text(Hello)", "pong(a)", 0,
     0},
    {"5.4", "pings between all fragments", "0101 61 8901 31 0001 62 8901 32 8001 63", "text(abc)",
     "pong(1) pong(2)", 0, 0},
    {"5.4", "pong between fragments", "0103 'Hel' 8a01 61 8002 'lo'", "pong(a) text(Hello)", "", 0,
     0},
    {"5.4", "close between fragments", "0103 'Hel' 8802 03e8 8002 'lo'", "closed(1000)", CLOSE_1000,
     0, 0},
    {"5.4", "ping inside a character", "0101 c3 8900 8001 a4", "text(c3a4)", "pong()", 0, 0},

    /* ---- 5.5: control frames --------------------------------------------------------------- */
    BROKEN_WSLAY("5.5", "ping of 126 bytes", "897e 007e 126*61"),
    BROKEN_WSLAY("5.5", "ping of 65536 bytes", "897f 0000000000010000 61"),
    BROKEN_WSLAY("5.5", "pong of 126 bytes", "8a7e 007e 126*61"),
    BROKEN_WSLAY("5.5", "close of 126 bytes", "887e 007e 03e8 124*61"),
    BROKEN_WSLAY("5.5", "ping, 16 bits for length 1", "897e 0001 61"),
    BROKEN_WSLAY("5.5", "ping in fragments", "0901 61 8001 62"),
    BROKEN_WSLAY("5.5", "pong in fragments", "0a01 61 8001 62"),
    BROKEN_WSLAY("5.5", "close in fragments", "0802 03e8 8000"),
    BROKEN_WSLAY("5.5", "empty ping without FIN", "0900"),
    BROKEN_WSLAY("5.5", "ping of 126 bytes, two bytes of it", "897e"),
    BROKEN_WSLAY("5.5", "ping without FIN inside a message", "0101 61 0900 8001 62"),
    {"5.5", "a continuation after a ping", "8900 8001 61", PROTOCOL_ERROR, "pong() " CLOSE_1002, 0,
     0},
    {"5.5.2", "empty ping", "8900", "", "pong()", 0, 0},
    {"5.5.2", "ping with a payload", "8905 'Hello'", "", "pong(Hello)", 0, 0},
    {"5.5.2", "ping with bytes that are not UTF-8", "8904 00ffc080", "", "pong(00ffc080)", 0, 0},
    {"5.5.2", "ping of 125 bytes", "897d 125*61", "",
     "pong(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)",
     0, 0},
    {"5.5.2", "ten pings in one read",
     "8901 30 8901 31 8901 32 8901 33 8901 34 8901 35 8901 36 "
     "8901 37 8901 38 8901 39",
     "", "pong(0) pong(1) pong(2) pong(3) pong(4) pong(5) pong(6) pong(7) pong(8) pong(9)", 0, 0},
    {"5.5.2", "ping, then a message", "8901 61 8101 62", "text(b)", "pong(a)", 0, 0},
    FINE("5.5.3", "empty pong", "8a00", "pong()"),
    FINE("5.5.3", "a pong nobody asked for", "8a05 'Hello'", "pong(Hello)"),
    FINE("5.5.3", "pongs and messages", "8a01 61 8101 62 8a01 63", "pong(a) text(b) pong(c)"),

    /* ---- 5.5.1 and 7: close ---------------------------------------------------------------- */
    CLOSES("7.1.5", "no code", "8800", "closed(1005)", "close()"),
    BROKEN("5.5.1", "close of one byte", "8801 03"),
    CLOSES("7.4.1", "1000", "8802 03e8", "closed(1000)", CLOSE_1000),
    CLOSES("7.4.1", "1000 with a reason", "8805 03e8 'bye'", "closed(1000 bye)", CLOSE_1000),
    CLOSES(
        "7.4.1", "1000 with the longest reason", "887d 03e8 123*61",
        "closed(1000 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)",
        CLOSE_1000),
    CLOSES("7.4.1", "1001", "8802 03e9", "closed(1001)", "close(03e9)"),
    CLOSES("7.4.1", "1002", "8802 03ea", "closed(1002)", "close(03ea)"),
    CLOSES("7.4.1", "1003", "8802 03eb", "closed(1003)", "close(03eb)"),
    CLOSES("7.4.1", "1007", "8802 03ef", "closed(1007)", "close(03ef)"),
    CLOSES("7.4.1", "1008", "8802 03f0", "closed(1008)", "close(03f0)"),
    CLOSES("7.4.1", "1009", "8802 03f1", "closed(1009)", "close(03f1)"),
    CLOSES("7.4.1", "1010", "8802 03f2", "closed(1010)", "close(03f2)"),
    CLOSES("7.4.1", "1011", "8802 03f3", "closed(1011)", "close(03f3)"),
    CLOSES("7.4.1", "1012", "8802 03f4", "closed(1012)", "close(03f4)"),
    CLOSES("7.4.1", "1013", "8802 03f5", "closed(1013)", "close(03f5)"),
    CLOSES("7.4.1", "1014", "8802 03f6", "closed(1014)", "close(03f6)"),
    CLOSES("7.4.2", "3000", "8802 0bb8", "closed(3000)", "close(0bb8)"),
    CLOSES("7.4.2", "3999", "8802 0f9f", "closed(3999)", "close(0f9f)"),
    CLOSES("7.4.2", "4000", "8802 0fa0", "closed(4000)", "close(0fa0)"),
    CLOSES("7.4.2", "4401 with a reason", "880e 1131 'unauthorized'", "closed(4401 unauthorized)",
           "close(1131)"),
    CLOSES("7.4.2", "4999", "8802 1387", "closed(4999)", "close(1387)"),
    BROKEN("7.4.2", "code 0", "8802 0000"),
    BROKEN("7.4.2", "code 999", "8802 03e7"),
    BROKEN("7.4.1", "code 1004", "8802 03ec"),
    BROKEN("7.4.1", "code 1005", "8802 03ed"),
    BROKEN("7.4.1", "code 1006", "8802 03ee"),
    BROKEN("7.4.1", "code 1015", "8802 03f7"),
    BROKEN("7.4.2", "code 1016", "8802 03f8"),
    BROKEN("7.4.2", "code 1100", "8802 044c"),
    BROKEN("7.4.2", "code 2000", "8802 07d0"),
    BROKEN("7.4.2", "code 2999", "8802 0bb7"),
    BROKEN("7.4.2", "code 5000", "8802 1388"),
    BROKEN("7.4.2", "code 65535", "8802 ffff"),
    BROKEN("7.4.1", "code 1005 with a reason", "8805 03ed 'bye'"),
    CLOSES("7.1.6", "a reason of several bytes a character", "8806 03e8 e282ac 21",
           "closed(1000 \xe2\x82\xac!)", CLOSE_1000),
    {"5.5.1", "a reason that is not UTF-8", "8806 03e8 'ab' c328", UTF8_ERROR, CLOSE_1007, 0, 0},
    {"5.5.1", "a reason that ends inside a character", "8804 03e8 e282", UTF8_ERROR, CLOSE_1007, 0,
     0},
    {"5.5.1", "a reason with a surrogate", "8805 03e8 eda080", UTF8_ERROR, CLOSE_1007, 0, 0},
    CLOSES("5.5.1", "an incomplete close", "8805 03e8 'b'", "", ""),
    {"5.5.1", "a message after close", "8802 03e8 8101 61", "closed(1000)", CLOSE_1000, 0, 0},
    {"5.5.1", "a ping after close", "8802 03e8 8901 61", "closed(1000)", CLOSE_1000, 0, 0},
    {"5.5.1", "a second close", "8802 03e8 8802 03e9", "closed(1000)", CLOSE_1000, 0, 0},
    {"5.5.1", "garbage after close", "8802 03e8 ffffffffffffffff", "closed(1000)", CLOSE_1000, 0,
     0},
    {"5.5.1", "a ping before close", "8901 61 8802 03e8", "closed(1000)", "pong(a) " CLOSE_1000, 0,
     0},
    {"7.1.5", "the code is the one of the first close", "8802 0fa1 8802 03e8", "closed(4001)",
     "close(0fa1)", 0, 0},
    {"7.1.6", "a reason of one byte", "8803 0fa1 78", "closed(4001 x)", "close(0fa1)", 0, 0},
    {"7.1.6", "a reason over fragments of a message", "0101 61 8804 03e9 'by' 8001 62",
     "closed(1001 by)", "close(03e9)", 0, 0},
    {"7.1.2", "close inside a character", "0102 'a' c3 8802 03e8", "closed(1000)", CLOSE_1000, 0,
     0},
    {"7.1.7", "an error inside a message", "0101 61 8901 62 8301 63", PROTOCOL_ERROR,
     "pong(b) " CLOSE_1002, 0, 0},
    {"7.1.7", "a message after an error", "8301 61 8101 62", PROTOCOL_ERROR, CLOSE_1002, 0, 0},
    {"7.1.7", "a close after an error", "8301 61 8802 03e8", PROTOCOL_ERROR, CLOSE_1002, 0, 0},

    /* ---- The same after we have closed: nothing more leaves --------------------------------- */
    WE_CLOSED("7.1.2", "we close, and nothing comes", "", ""),
    WE_CLOSED("7.1.2", "we close, the peer answers", "8802 03e8", "closed(1000)"),
    WE_CLOSED("7.1.3", "a message after our close", "8101 61 8201 00", "text(a) binary(00)"),
    WE_CLOSED("7.1.3", "a ping after our close", "8901 61 8802 03e8", "closed(1000)"),
    WE_CLOSED("7.1.5", "an answer without a code", "8800", "closed(1005)"),
    WE_CLOSED("7.1.5", "an answer with another code", "8802 0fa1", "closed(4001)"),
    WE_CLOSED("7.1.6", "an answer with a reason", "8805 03e9 'bye'", "closed(1001 bye)"),
    WE_CLOSED("7.1.2", "messages before the answer", "8101 61 8201 00 8802 03e8",
              "text(a) binary(00) closed(1000)"),
    WE_CLOSED("7.1.2", "fragments before the answer", "0101 61 8901 70 0000 8001 62 8802 03e8",
              "text(ab) closed(1000)"),
    WE_CLOSED("7.1.2", "a pong before the answer", "8a01 61 8802 03e8", "pong(a) closed(1000)"),
    WE_CLOSED("7.1.2", "the answer inside a message", "0101 61 8802 03e8 8001 62", "closed(1000)"),
    WE_CLOSED("5.5.1", "a message after the answer", "8802 03e8 8101 61", "closed(1000)"),
    WE_CLOSED("5.5.1", "a second answer", "8802 03e8 8802 03e9", "closed(1000)"),
    WE_CLOSED("5.5.1", "garbage after the answer", "8802 03e8 ffffffffffffffff", "closed(1000)"),
    WE_CLOSED("5.5.1", "an answer of one byte", "8801 03", PROTOCOL_ERROR),
    WE_CLOSED("7.4.1", "an answer with the code 1005", "8802 03ed", PROTOCOL_ERROR),
    WE_CLOSED("7.1.7", "an error before the answer", "8301 61 8802 03e8", PROTOCOL_ERROR),
    WE_CLOSED("7.1.7", "an error behind a message", "8101 61 8181 00000000 62",
              "text(a) " PROTOCOL_ERROR),
    WE_CLOSED("8.1", "bad text before the answer", "8102 61ff 8802 03e8", UTF8_ERROR),
    WE_CLOSED("10.4", "2^62 before the answer", "827f 4000000000000000", SIZE_ERROR),
    {"5.5", "a ping of 126 bytes before the answer", "897e 007e 126*61", PROTOCOL_ERROR, CLOSE_1000,
     0, WE_CLOSE | BY_WSLAY},

    /* ---- 5.7: the examples of the RFC ------------------------------------------------------- */
    FINE("5.7", "an unmasked text", "8105 48656c6c6f", "text(Hello)"),
    BROKEN("5.7", "a masked text", "8185 37fa213d 7f9f4d5158"),
    FINE("5.7", "a text in fragments", "0103 48656c 8002 6c6f", "text(Hello)"),
    {"5.7", "an unmasked ping", "8905 48656c6c6f", "", "pong(Hello)", 0, 0},
    BROKEN("5.7", "a masked pong", "8a85 37fa213d 7f9f4d5158"),
    FINE("5.7", "256 bytes", "827e 0100 256*61", "binary(256 bytes, hash fd2916200943d825)"),
    FINE("5.7", "64 KiB", "827f 0000000000010000 65536*61",
         "binary(65536 bytes, hash 1f0c0019bbd72325)"),

    /* ---- 6.2: what is received ------------------------------------------------------------- */
    FINE("6.2", "a message in one frame", "8201 00", "binary(00)"),
    FINE("6.2", "a message whose last fragment has not come", "0201 00 0001 01", ""),
    FINE("6.2", "a message when its last fragment has come", "0201 00 0001 01 8001 02",
         "binary(000102)"),
    {"6.2", "a ping among fragments belongs to no message", "0201 00 8901 70 8001 01",
     "binary(0001)", "pong(p)", 0, 0},
    FINE("6.2", "a pong among fragments comes first", "0201 00 8a01 70 8001 01",
         "pong(p) binary(0001)"),

    /* ---- 5.6 and 8.1: text is UTF-8 -------------------------------------------------------- */
    FINE("5.6", "binary is anything", "8206 80c0eda080ff", "binary(80c0eda080ff)"),
    FINE("5.6", "binary in fragments is anything", "0203 80c0ed 8003 a080ff",
         "binary(80c0eda080ff)"),
    FINE("8.1", "two bytes", "8102 c3a4", "text(c3a4)"),
    FINE("8.1", "three bytes", "8103 e282ac", "text(e282ac)"),
    FINE("8.1", "four bytes", "8104 f09f9880", "text(f09f9880)"),
    FINE("8.1", "U+0000", "8101 00", "text(00)"),
    FINE("8.1", "U+007F and U+0080", "8103 7fc280", "text(7fc280)"),
    FINE("8.1", "U+07FF and U+0800", "8105 dfbfe0a080", "text(dfbfe0a080)"),
    FINE("8.1", "U+D7FF and U+E000", "8106 ed9fbfee8080", "text(ed9fbfee8080)"),
    FINE("8.1", "U+FFFF and U+10000", "8107 efbfbff0908080", "text(efbfbff0908080)"),
    FINE("8.1", "U+10FFFF", "8104 f48fbfbf", "text(f48fbfbf)"),
    FINE("8.1", "a byte order mark", "8106 efbbbf 'abc'", "text(efbbbf616263)"),
    FINE("8.1", "a character over two fragments", "0101 c3 8001 a4", "text(c3a4)"),
    FINE("8.1", "a character over three fragments", "0101 e2 0001 82 8001 ac", "text(e282ac)"),
    FINE("8.1", "a character over five frames", "0101 f0 0001 9f 0000 0001 98 8001 80",
         "text(f09f9880)"),
    NOT_UTF8("a continuation byte", "8101 80"),
    NOT_UTF8("a continuation byte after ASCII", "8103 'ab' bf"),
    NOT_UTF8("one continuation byte too many", "8103 c3a4a4"),
    NOT_UTF8("C0", "8102 c080"),
    NOT_UTF8("C1", "8102 c1bf"),
    NOT_UTF8("overlong, three bytes", "8103 e09fbf"),
    NOT_UTF8("overlong, four bytes", "8104 f08fbfbf"),
    NOT_UTF8("lowest surrogate", "8103 eda080"),
    NOT_UTF8("highest surrogate", "8103 edbfbf"),
    NOT_UTF8("a pair of surrogates", "8106 eda080edb080"),
    NOT_UTF8("U+110000", "8104 f4908080"),
    NOT_UTF8("F5", "8104 f5808080"),
    NOT_UTF8("five bytes", "8105 f888808080"),
    NOT_UTF8("six bytes", "8106 fc8480808080"),
    NOT_UTF8("FE", "8101 fe"),
    NOT_UTF8("FF", "8101 ff"),
    NOT_UTF8("a lead byte and ASCII", "8102 c361"),
    NOT_UTF8("a lead byte of three, one byte, ASCII", "8103 e28261"),
    NOT_UTF8("ends after a lead byte", "8101 c3"),
    NOT_UTF8("ends after two of three", "8102 e282"),
    NOT_UTF8("ends after three of four", "8103 f09f98"),
    NOT_UTF8("ends inside a character, fragmented", "0102 'a' c3 8000"),
    NOT_UTF8("a character broken by a fragment", "0102 'a' c3 8001 62"),
    NOT_UTF8("bad in the first fragment", "0102 'a' ff 8001 62"),
    NOT_UTF8("bad in the last fragment", "0101 61 8001 ff"),
    NOT_UTF8("bad far inside a long text", "817e 0400 1000*61 ff 23*61"),
    NOT_UTF8("bad, and the rest never comes", "817e 0400 'abc' ff"),
    NOT_UTF8("overlong, and the rest never comes", "817e 0400 'abc' e080"),
    NOT_UTF8("above U+10FFFF, and the rest never comes", "817e 0400 'abc' f490"),
    NOT_UTF8("a surrogate, and the rest never comes", "817e 0400 'abc' eda0"),
    NOT_UTF8("bad in a fragment, and the last one never comes", "0104 'abc' ff"),
    NOT_UTF8("bad across fragments, and the rest never comes", "0104 'abc' e2 0002 41"),
    {"8.1", "bad after a good message", "8102 c3a4 8101 ff", "text(c3a4) " UTF8_ERROR, CLOSE_1007,
     0, 0},

    /* ---- 10.4: limits ---------------------------------------------------------------------- */
    {"10.4", "as large as allowed", "8210 16*61", "binary(aaaaaaaaaaaaaaaa)", "", 16, 0},
    {"10.4", "one byte too large", "8211 17*61", SIZE_ERROR, CLOSE_1009, 16, 0},
    {"10.4", "too large, text", "8111 17*61", SIZE_ERROR, CLOSE_1009, 16, 0},
    {"10.4", "too large by the header alone", "8211", SIZE_ERROR, CLOSE_1009, 16, 0},
    {"10.4", "too large by a 16-bit header alone", "827e 1000", SIZE_ERROR, CLOSE_1009, 16, 0},
    {"10.4", "2^62 by the header alone", "827f 4000000000000000", SIZE_ERROR, CLOSE_1009, 0, 0},
    {"10.4", "2^62 in a first fragment", "017f 4000000000000000", SIZE_ERROR, CLOSE_1009, 0, 0},
    {"10.4", "too large behind pings", "0208 8*61 8901 31 0008 8*62 8901 32 8001 63", SIZE_ERROR,
     "pong(1) pong(2) " CLOSE_1009, 16, 0},
    {"10.4", "2^63 - 1 by the header alone", "827f 7fffffffffffffff", SIZE_ERROR, CLOSE_1009, 0, 0},
    {"10.4", "as large as allowed, in fragments", "0208 8*61 8008 8*62", "binary(aaaaaaaabbbbbbbb)",
     "", 16, 0},
    {"10.4", "too large with the second fragment", "0208 8*61 8009 9*62", SIZE_ERROR, CLOSE_1009,
     16, 0},
    {"10.4", "too large with the second fragment's header", "0208 8*61 8009", SIZE_ERROR,
     CLOSE_1009, 16, 0},
    {"10.4", "too large in tiny fragments", "0201 61 16*000161", SIZE_ERROR, CLOSE_1009, 16, 0},
    {"10.4", "an addition that would overflow", "0201 61 807f 7fffffffffffffff", SIZE_ERROR,
     CLOSE_1009, 0, 0},
    {"10.4", "a ping is not a message", "897d 125*61 8801 00", PROTOCOL_ERROR,
     "pong(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) " CLOSE_1002,
     16, 0},
    {"10.4", "messages are counted one by one", "8210 16*61 8210 16*62",
     "binary(aaaaaaaaaaaaaaaa) binary(bbbbbbbbbbbbbbbb)", "", 16, 0},
};

enum { CONFORMANCE_CASES = sizeof conformance_cases / sizeof conformance_cases[0] };

/*
 * Every section of RFC 6455 about the open connection and its end, the parts of 4.1 that are a
 * client's, and what 10 asks of one: it has cases above, or names the tests where it is.  That
 * these exist is checked by tests/docs/check.py.
 */
struct conformance_section {
    const char *section;
    const char *tests; /* NULL: the cases above. */
};

static const struct conformance_section conformance_sections[] = {
    {"4.1, through a proxy", "io/test_proxies.c:test_http_proxy"},
    {"4.1, over TLS", "io/test_tls.c:test_verdicts io/test_tls.c:test_sni"},
    {"4.1, the request", "wire/test_upgrade.c:test_request_plain"},
    {"4.1, the answer", "wire/test_upgrade.c:test_accepted wire/test_upgrade.c:test_bad_answers"},
    {"4.1, another status", "wire/test_upgrade.c:test_every_status sim/test_failures.c:redirected"},
    {"5.1", NULL},
    {"5.2", NULL},
    {"5.3", "wire/test_outbox.c:every_frame_has_its_own_key"},
    {"5.4", NULL},
    {"5.5", NULL},
    {"5.5.1", NULL},
    {"5.5.2", NULL},
    {"5.5.3", NULL},
    {"5.6", NULL},
    {"5.7", NULL},
    {"5.8", "wire/test_deflate.c:the_examples_at_every_split"},
    {"6.1", "wire/test_outbox.c:the_example_of_the_rfc wire/test_outbox.c:a_message_in_chunks "
            "wire/test_outbox.c:bad_arguments_change_nothing"},
    {"6.2", NULL},
    {"7.1.1", "sim/test_link.c:stop_and_the_server_is_lazy io/test_stream.c:test_ends"},
    {"7.1.2", NULL},
    {"7.1.3", NULL},
    {"7.1.4", "sim/test_link.c:close_frames_cross sim/test_link.c:reset_while_closing"},
    {"7.1.5", NULL},
    {"7.1.6", NULL},
    {"7.1.7", NULL},
    {"7.2.1", "sim/test_failures.c:wrong_accept sim/test_failures.c:server_speaks_first"},
    {"7.2.2", "sim/test_failures.c:server_goes_away"},
    {"7.2.3", "sim/test_failures.c:ladder sim/test_failures.c:service_restart"},
    {"7.3", "sim/test_calls.c:stop_in_every_state sim/test_link.c:stop_sends_the_queue"},
    {"7.4.1", NULL},
    {"7.4.2", NULL},
    {"8.1", NULL},
    {"9.1", "wire/test_upgrade.c:test_nothing_offered wire/test_deflate.c:the_agreement"},
    {"9.2", "wire/test_deflate.c:every_parameter_both_ways"},
    {"10.3", "wire/test_outbox.c:every_frame_has_its_own_key"},
    {"10.4", NULL},
};

enum { CONFORMANCE_SECTIONS = sizeof conformance_sections / sizeof conformance_sections[0] };

#endif
