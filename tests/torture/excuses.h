/*
 * What libraries make of a failed call of their own, and nobody can mend from outside.
 */
#ifndef WST_TESTS_EXCUSES_H
#define WST_TESTS_EXCUSES_H

#include "faults.h"

enum { EXCUSES_MAX = 32 };

struct excuse_info {
    const char *why;
    long most; /* So many tellings of a sweep may end so, when each place fails once. */
    long all;  /* The same when all calls fail; 0: in proportion to them. */
};

/* The number of the excuse for a telling that ended with |text|; -1: there is none. */
int excuse_find(const struct fault_report *report, const char *text);
/* NULL behind the last one. */
const struct excuse_info *excuse_info(int number);

#endif
