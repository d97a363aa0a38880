/* Runs a fuzz target over files, or all files in directories, where there is no libFuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

#define MOST_BYTES 65536

static unsigned count;

static void run_file(FILE *f)
{
    uint8_t *data = malloc(MOST_BYTES);
    uint8_t *exact;
    size_t n;

    MUST(data);
    n = fread(data, 1, MOST_BYTES, f);
    exact = malloc(n ? n : 1); /* So that a read beyond the end is seen. */
    MUST(exact);
    memcpy(exact, data, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    free(data);
    count++;
}

static void run_directory(const char *path, DIR *d)
{
    const struct dirent *entry;

    while ((entry = readdir(d))) {
        char name[4096];
        FILE *f;

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        f = fopen(name, "rb");
        MUST(f);
        run_file(f);
        (void)fclose(f);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        FILE *f = d ? NULL : fopen(argv[i], "rb");

        MUST(d || f);
        if (d) {
            run_directory(argv[i], d);
            (void)closedir(d);
        } else {
            run_file(f);
            (void)fclose(f);
        }
    }
    printf("%u inputs\n", count);
    return count ? 0 : 1;
}
