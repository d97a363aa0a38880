/* How the program ends. */
#ifndef WSTICKET_STATUS_H
#define WSTICKET_STATUS_H

enum status {
    STATUS_OK = 0,      /* It was open and ended as asked. */
    STATUS_USAGE = 1,   /* Wrong usage, this machine could not do its part, or a line was lost. */
    STATUS_REFUSED = 2, /* The server said no, or a certificate could not be loaded. */
    STATUS_NEVER = 3,   /* It never came to that, or was given up. */
    STATUS_TLS = 4      /* The server's certificate was not accepted. */
};

#endif
