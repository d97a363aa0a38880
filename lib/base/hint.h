/* What the compiler cannot know. */
#ifndef WST_BASE_HINT_H
#define WST_BASE_HINT_H

/* For the rare way out of a function that runs often: which need not save what this one uses. */
#if defined(__GNUC__)
#define WST__NOINLINE __attribute__((noinline))
#else
#define WST__NOINLINE
#endif

#endif
