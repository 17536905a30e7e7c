/* What do the kernels and the runtime beneath them ask of the loader? One table of functions, in the order that Host.cs and runtime_threads.c know. */
#ifndef S2ATTN_HOST_H
#define S2ATTN_HOST_H

#include <stdint.h>

struct pool;

typedef struct {
    int32_t (*enter)(void); /* not 0 where the library cannot be used in this process; waits while another thread forks */
    void (*leave)(void);
    struct pool *(*pool_create)(int32_t);
    void (*pool_run)(struct pool *, int32_t, void (*)(void *, int32_t), void *);
    void (*pool_destroy)(struct pool *);
    void (*hold)(void);     /* begins what another thread will end; the caller's own call has not ended yet */
    int32_t (*ends)(void);  /* a thread ends: as `enter`, but it never waits; THREAD_STAYS where the runtime must not be entered */
} host_functions;

enum { THREAD_LEAVES, THREAD_STAYS };

#endif
