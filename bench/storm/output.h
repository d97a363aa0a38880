/* What storms are told as: a table, CSV, and pictures. */
#ifndef STORM_OUTPUT_H
#define STORM_OUTPUT_H

#include "storm.h"

#include <stdio.h>

/* One run. */
struct run {
    struct setup setup;
    struct report report;
};

void table_head(FILE *out);
void table_row(FILE *out, const struct run *run);
void csv_head(FILE *out);
void csv_row(FILE *out, const struct run *run);
/* Two pictures for each scenario, a line for each schedule: requests for tickets, and who is
 * open.  Runs of one scenario stand next to each other. */
void plot(FILE *out, const struct run *runs, size_t count);

/* The time that the server needs at least for those it lost. */
double ideal_ms(const struct run *run);

#endif
