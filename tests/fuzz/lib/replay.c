/* Without libFuzzer: the inputs of a target's corpus, then some that are drawn; or only
 * those that are named, by a file or by the number that a failure has told. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) ||           \
    __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { DRAWN = 300 };
#else
enum { DRAWN = 5000 };
#endif

enum { BYTES_MAX = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
extern uint64_t fuzz_input;
extern const char fuzz_corpus[]; /* a folder */

static void run_file(const char *name)
{
    uint8_t bytes[4096];
    FILE *file = fopen(name, "rbe");
    size_t n;

    if (file == NULL) {
        perror(name);
        exit(1);
    }
    n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    fprintf(stderr, "# %s\n", name);
    (void)LLVMFuzzerTestOneInput(bytes, n);
}

static void run_drawn(uint64_t number)
{
    uint64_t z = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
    uint8_t bytes[BYTES_MAX];

    for (size_t i = 0; i < sizeof bytes; i++) {
        z ^= z >> 12;
        z ^= z << 25;
        z ^= z >> 27;
        bytes[i] = (uint8_t)(z * UINT64_C(0x2545F4914F6CDD1D) >> 56);
        if (number % 2 == 1 && bytes[i] % 4 == 3)
            bytes[i] = 0;
    }
    (void)LLVMFuzzerTestOneInput(bytes, sizeof bytes);
}

static int run_corpus(void)
{
    DIR *dir = opendir(fuzz_corpus);
    char name[512];
    int n = 0;

    if (dir == NULL) {
        perror(fuzz_corpus);
        exit(1);
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", fuzz_corpus, d->d_name);
        run_file(name);
        n++;
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int files;

    for (int i = 1; i < argc; i++) {
        char *end;
        uint64_t number = strtoull(argv[i], &end, 10);
        if (*end == '\0')
            run_drawn(fuzz_input = number);
        else
            run_file(argv[i]);
    }
    if (argc > 1)
        return 0;
    files = run_corpus();
    for (fuzz_input = 0; fuzz_input < DRAWN; fuzz_input++)
        run_drawn(fuzz_input);
    printf("%d inputs of the corpus, %d drawn\n", files, DRAWN);
    return 0;
}
