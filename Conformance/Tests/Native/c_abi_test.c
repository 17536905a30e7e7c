/* What must a program in C never see from libs2attn? A crash, a hang, a wrong code, a write before a check. c_abi_test NAME runs one of the tests below; 0 is a pass. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <s2attn.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N = 64, H = 4, D = 16, ELEMENTS = N * H * D };

#define CHECK(condition)                                                                                         \
    do {                                                                                                         \
        if (!(condition)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, s2attn_last_error()); \
            exit(1);                                                                                             \
        }                                                                                                        \
    } while (0)

static float q[ELEMENTS], k[ELEMENTS], v[ELEMENTS], dout[ELEMENTS], expected[ELEMENTS], expected_lse[N * H];

static s2attn_config usual(int32_t threads) {
    s2attn_config config;
    CHECK(s2attn_config_init(&config, sizeof config) == S2ATTN_SUCCESS);
    config.batch = 1, config.tokens = N, config.heads = H, config.head_dim = D, config.group_size = 16;
    config.dtype = S2ATTN_DTYPE_F32, config.mask = S2ATTN_MASK_SPLIT, config.threads = threads;
    return config;
}

static s2attn_plan planned(const s2attn_config *config) {
    s2attn_plan plan;
    CHECK(s2attn_create(config, &plan) == S2ATTN_SUCCESS && plan != 0);
    return plan;
}

/* By the definition, in double: Split with S = G / 2 for the second half of the heads. */
static void define(void) {
    for (int i = 0; i < ELEMENTS; i++) q[i] = sinf((float)i), k[i] = cosf(0.7f * (float)i), v[i] = sinf(0.3f * (float)i), dout[i] = cosf((float)i);
    for (int h = 0; h < H; h++)
        for (int t = 0; t < N; t++) {
            int shift = h >= H / 2 ? 8 : 0, first = t < shift ? 0 : (t - shift) / 16 * 16 + shift;
            double total = 0, row[D] = {0};
            for (int u = first; u <= t; u++) {
                double dot = 0;
                for (int d = 0; d < D; d++) dot += (double)q[(t * H + h) * D + d] * k[(u * H + h) * D + d];
                double weight = exp(dot / 4);
                total += weight;
                for (int d = 0; d < D; d++) row[d] += weight * v[(u * H + h) * D + d];
            }
            for (int d = 0; d < D; d++) expected[(t * H + h) * D + d] = (float)(row[d] / total);
            expected_lse[t * H + h] = (float)log(total);
        }
}

static int close_to(const float *a, const float *b, int count) {
    for (int i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) < 1e-4f)) return 0;
    return 1;
}

static void must_work(s2attn_plan plan) {
    float *o = malloc(sizeof expected);
    CHECK(s2attn_forward(plan, q, k, v, NULL, o, NULL) == S2ATTN_SUCCESS);
    CHECK(close_to(o, expected, ELEMENTS));
    free(o);
}

/* ---- Each argument wrong in turn ---- */

static void refused(const s2attn_config *config, int32_t code, const char *named) {
    s2attn_plan plan = 12345;
    int32_t got = s2attn_create(config, &plan);
    if (got != code || plan != 0 || strstr(s2attn_last_error(), named) == NULL) {
        fprintf(stderr, "wanted code %d and a message that names %s, got %d: %s\n", code, named, got, s2attn_last_error());
        exit(1);
    }
}

#define REFUSED(field, value, code)         \
    do {                                    \
        s2attn_config wrong = usual(1);     \
        wrong.field = (value);              \
        refused(&wrong, (code), #field);    \
    } while (0)

/* The message names the value as it was given, not what is left of it in 32 bits. */
#define REFUSED_NUMBER(field, value, code)                                       \
    do {                                                                         \
        s2attn_config wrong = usual(1);                                          \
        char text[64];                                                           \
        wrong.field = (value);                                                   \
        snprintf(text, sizeof text, #field " = %lld:", (long long)(value));      \
        refused(&wrong, (code), text);                                           \
    } while (0)

static void arguments(void) {
    s2attn_plan plan;
    s2attn_config config = usual(1);
    CHECK(s2attn_config_init(NULL, sizeof config) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_config_init(&config, sizeof config + 8) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create(NULL, &plan) == S2ATTN_ERROR_ARGUMENT && plan == 0);
    config = usual(1);
    CHECK(s2attn_create(&config, NULL) == S2ATTN_ERROR_ARGUMENT);
    int64_t wrong_sizes[] = {0, -1, 8, (int64_t)sizeof config - 8, (int64_t)sizeof config + 8, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof wrong_sizes / sizeof wrong_sizes[0]; i++) REFUSED(struct_size, wrong_sizes[i], S2ATTN_ERROR_ARGUMENT);
    /* Those past 2^32 are sizes that the rest would accept, were they cut to 32 bits. */
    int64_t huge[] = {-1, INT32_MIN, INT64_MAX, INT64_MIN, (int64_t)1 << 40, (int64_t)1 << 31, ((int64_t)1 << 32) - 1, ((int64_t)1 << 32) + 1, ((int64_t)1 << 32) + 4, ((int64_t)1 << 32) + 16};
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        REFUSED_NUMBER(batch, huge[i], S2ATTN_ERROR_ARGUMENT);
        REFUSED_NUMBER(tokens, huge[i], S2ATTN_ERROR_ARGUMENT);
        REFUSED_NUMBER(heads, huge[i], S2ATTN_ERROR_ARGUMENT);
        REFUSED_NUMBER(kv_heads, huge[i], S2ATTN_ERROR_ARGUMENT);
        REFUSED_NUMBER(head_dim, huge[i], S2ATTN_ERROR_ARGUMENT);
        REFUSED_NUMBER(group_size, huge[i], S2ATTN_ERROR_ARGUMENT);
        REFUSED_NUMBER(value_dim, huge[i], S2ATTN_ERROR_UNSUPPORTED);
        if (huge[i] != S2ATTN_DEFAULT_SHIFT) REFUSED_NUMBER(shift, huge[i], S2ATTN_ERROR_ARGUMENT);
    }
    REFUSED(heads, 0, S2ATTN_ERROR_ARGUMENT);
    REFUSED(head_dim, 0, S2ATTN_ERROR_ARGUMENT);
    REFUSED(kv_heads, 3, S2ATTN_ERROR_ARGUMENT);
    REFUSED(group_size, 0, S2ATTN_ERROR_ARGUMENT);
    REFUSED(group_size, N + 1, S2ATTN_ERROR_ARGUMENT);
    REFUSED(shift, 16, S2ATTN_ERROR_ARGUMENT);
    REFUSED(scale, INFINITY, S2ATTN_ERROR_ARGUMENT);
    REFUSED(dtype, 0, S2ATTN_ERROR_ARGUMENT);
    REFUSED(dtype, 99, S2ATTN_ERROR_ARGUMENT);
    REFUSED(gradient_dtype, S2ATTN_DTYPE_BF16, S2ATTN_ERROR_ARGUMENT);
    REFUSED(mask, 0, S2ATTN_ERROR_ARGUMENT);
    REFUSED(mask, 6, S2ATTN_ERROR_ARGUMENT);
    REFUSED(mask, INT32_MIN, S2ATTN_ERROR_ARGUMENT);
    REFUSED(group_rule, 3, S2ATTN_ERROR_ARGUMENT);
    REFUSED(shifted_heads, 5, S2ATTN_ERROR_ARGUMENT);
    REFUSED(layout, 2, S2ATTN_ERROR_ARGUMENT);
    REFUSED(threads, -1, S2ATTN_ERROR_ARGUMENT);
    REFUSED(prefix, N + 1, S2ATTN_ERROR_ARGUMENT);
    REFUSED(prefix, (N + 1) | S2ATTN_PREFIX_WHOLE, S2ATTN_ERROR_ARGUMENT);
    REFUSED(prefix, -1, S2ATTN_ERROR_ARGUMENT);
    config = usual(1), config.shifted_heads = S2ATTN_HEADS_FLAGS;
    refused(&config, S2ATTN_ERROR_ARGUMENT, "shifted is NULL");
    config = usual(1), config.shifted_heads = S2ATTN_HEADS_SHIFTS;
    refused(&config, S2ATTN_ERROR_ARGUMENT, "shifts is NULL");
    int64_t too_large[H] = {0}, too_long[H] = {0};
    too_large[H - 1] = 1 << 20, too_long[H - 1] = INT64_MAX;
    config.shifts = too_large;
    refused(&config, S2ATTN_ERROR_ARGUMENT, "must hold shifts from 0 to");
    config.shifts = too_long;
    refused(&config, S2ATTN_ERROR_ARGUMENT, "shifts[");
    config = usual(1), config.group_rule = S2ATTN_GROUP_RATIO;
    refused(&config, S2ATTN_ERROR_ARGUMENT, "group_ratio");
    s2attn_strides overlapping = {0, 1, D};
    config = usual(1), config.output_strides = &overlapping;
    refused(&config, S2ATTN_ERROR_ARGUMENT, "o");
    config = usual(1), config.query_gradient_strides = &overlapping;
    refused(&config, S2ATTN_ERROR_ARGUMENT, "dq");

    int32_t starts[] = {0, 32, N}, backwards[] = {0, 40, 32, N}, late[] = {1, N};
    config = usual(1);
    CHECK(s2attn_create_varlen(&config, NULL, 3, S2ATTN_INDEX_I32, &plan) == S2ATTN_ERROR_ARGUMENT && plan == 0);
    CHECK(s2attn_create_varlen(&config, starts, 0, S2ATTN_INDEX_I32, &plan) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create_varlen(&config, starts, -1, S2ATTN_INDEX_I32, &plan) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create_varlen(&config, starts, INT64_MAX, S2ATTN_INDEX_I32, &plan) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create_varlen(&config, starts, 3, 7, &plan) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create_varlen(&config, backwards, 4, S2ATTN_INDEX_I32, &plan) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "cu_seqlens"));
    CHECK(s2attn_create_varlen(&config, late, 2, S2ATTN_INDEX_I32, &plan) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create_varlen(&config, starts, 3, S2ATTN_INDEX_I32, &plan) == S2ATTN_SUCCESS && plan != 0);
    CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);

    config = usual(1);
    plan = planned(&config);
    float *o = calloc(ELEMENTS, sizeof *o), *lse = calloc(N * H, sizeof *lse), *dq = calloc(ELEMENTS, sizeof *dq), *dk = calloc(ELEMENTS, sizeof *dk), *dv = calloc(ELEMENTS, sizeof *dv);
    const float *inputs[] = {q, k, v};
    for (int missing = 0; missing < 3; missing++) {
        const float *given[] = {inputs[0], inputs[1], inputs[2]};
        given[missing] = NULL;
        CHECK(s2attn_forward(plan, given[0], given[1], given[2], NULL, o, lse) == S2ATTN_ERROR_ARGUMENT);
        CHECK(strchr("qkv", s2attn_last_error()[0]) != NULL && s2attn_last_error()[0] == "qkv"[missing]);
    }
    CHECK(s2attn_forward(plan, q, k, v, NULL, NULL, lse) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_forward(plan, o, k, v, NULL, o, lse) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_forward(plan, q, k, v, NULL, o, o) == S2ATTN_ERROR_ARGUMENT);
    for (int i = 0; i < ELEMENTS; i++) CHECK(o[i] == 0);
    CHECK(s2attn_forward(plan, q, k, v, NULL, o, lse) == S2ATTN_SUCCESS && s2attn_last_error()[0] == 0);
    CHECK(close_to(o, expected, ELEMENTS) && close_to(lse, expected_lse, N * H));
    for (int missing = 0; missing < 9; missing++) {
        const void *a[] = {q, k, v, o, lse, dout, dq, dk, dv};
        a[missing] = NULL;
        CHECK(s2attn_backward(plan, a[0], a[1], a[2], NULL, a[3], a[4], a[5], NULL, (void *)a[6], (void *)a[7], (void *)a[8]) == S2ATTN_ERROR_ARGUMENT);
        CHECK(strstr(s2attn_last_error(), "NULL") != NULL);
    }
    CHECK(s2attn_backward(plan, q, k, v, NULL, o, lse, dout, NULL, dq, dk, dk) == S2ATTN_ERROR_ARGUMENT);
    for (int i = 0; i < ELEMENTS; i++) CHECK(dq[i] == 0 && dk[i] == 0 && dv[i] == 0);
    CHECK(s2attn_backward(plan, q, k, v, NULL, o, lse, dout, NULL, dq, dk, dv) == S2ATTN_SUCCESS);

    s2attn_info info = {.struct_size = sizeof info};
    CHECK(s2attn_query(plan, NULL) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_query(plan, &info) == S2ATTN_SUCCESS && info.group_size == 16 && info.shift == 8 && info.scale == 0.25 && info.threads == 1);
    CHECK(info.workspace_bytes >= info.workspace_bytes_per_thread && info.workspace_bytes_per_thread > 0 && info.vector_bits >= 128);
    info.struct_size = 1;
    CHECK(s2attn_query(plan, &info) == S2ATTN_ERROR_ARGUMENT);
    info.struct_size = sizeof info;

    s2attn_plan unknown[] = {0, 1 << 20, UINT64_MAX, plan + 1};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        CHECK(s2attn_forward(unknown[i], q, k, v, NULL, o, lse) == S2ATTN_ERROR_HANDLE);
        CHECK(s2attn_backward(unknown[i], q, k, v, NULL, o, lse, dout, NULL, dq, dk, dv) == S2ATTN_ERROR_HANDLE);
        CHECK(s2attn_query(unknown[i], &info) == S2ATTN_ERROR_HANDLE);
        CHECK(s2attn_destroy(unknown[i]) == (unknown[i] == 0 ? S2ATTN_SUCCESS : S2ATTN_ERROR_HANDLE));
    }
    CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
    CHECK(s2attn_destroy(plan) == S2ATTN_ERROR_HANDLE);
    CHECK(s2attn_forward(plan, q, k, v, NULL, o, lse) == S2ATTN_ERROR_HANDLE);
}

/* ---- Many threads ---- */

static s2attn_plan shared;
static int busy, served;

static void *use(void *unused) {
    (void)unused;
    s2attn_config config = usual(2);
    float *o = malloc(sizeof expected);
    for (int i = 0; i < 100; i++) {
        s2attn_plan own = planned(&config);
        must_work(own);
        CHECK(s2attn_destroy(own) == S2ATTN_SUCCESS);
        int32_t code = s2attn_forward(shared, q, k, v, NULL, o, NULL);
        CHECK(code == S2ATTN_SUCCESS || code == S2ATTN_ERROR_BUSY);
        __atomic_fetch_add(code ? &busy : &served, 1, __ATOMIC_RELAXED);
        CHECK(s2attn_forward(UINT64_MAX, q, k, v, NULL, o, NULL) == S2ATTN_ERROR_HANDLE);
        CHECK(strstr(s2attn_last_error(), "18446744073709551615") != NULL); /* this thread's error, not another's */
    }
    free(o);
    return NULL;
}

static void threads(void) {
    s2attn_config config = usual(2);
    shared = planned(&config);
    pthread_t all[8];
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&all[i], NULL, use, NULL) == 0);
    for (int i = 0; i < 8; i++) pthread_join(all[i], NULL);
    CHECK(served > 0 && served + busy == 800);
    must_work(shared);
}

/* ---- fork ---- */

static void end_with(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    alarm(60);
}

/* A child ends with its parent, and of itself where it hangs (an alarm is not inherited): whoever runs this program reads its output to the end, and must not wait for a child. */
static pid_t fork_with_an_end(void) {
    pid_t parent = getpid(), child = fork();
    CHECK(child >= 0);
    if (child == 0) end_with(parent);
    return child;
}

static int child_status(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void forks(void) {
    s2attn_config config = usual(4), one = usual(1);
    s2attn_plan plan = planned(&config), single = planned(&one);
    must_work(plan);
    for (int round = 0; round < 5; round++) {
        pid_t child = fork_with_an_end();
        if (child == 0) {
            must_work(plan);
            must_work(single);
            for (int i = 0; i < 100; i++) {
                s2attn_plan fresh = planned(&config);
                must_work(fresh);
                CHECK(s2attn_destroy(fresh) == S2ATTN_SUCCESS);
            }
            pid_t grandchild = fork_with_an_end();
            if (grandchild == 0) {
                must_work(plan);
                _exit(0);
            }
            CHECK(child_status(grandchild) == 0);
            CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
            _exit(0);
        }
        CHECK(child_status(child) == 0);
        must_work(plan);
    }
}

/* Enough for some collections. */
static void collect(s2attn_plan plan, int32_t threads, int plans) {
    s2attn_config config = usual(threads);
    for (int i = 0; i < plans; i++) {
        s2attn_plan own = planned(&config);
        must_work(own);
        CHECK(s2attn_destroy(own) == S2ATTN_SUCCESS);
        for (int j = 0; j < 20; j++) CHECK(s2attn_destroy(UINT64_MAX) == S2ATTN_ERROR_HANDLE);
    }
    if (plan != 0) must_work(plan);
}

static sem_t called, done;
static int stopping;

static void *call_and_stay(void *unused) {
    collect(0, 2, 1);
    sem_post(&called);
    sem_wait(&done);
    return unused;
}

static void *call_and_end(void *unused) {
    collect(0, 2, 3);
    return unused;
}

static void *start_what_ends(void *unused) {
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        pthread_t other;
        CHECK(pthread_create(&other, NULL, call_and_end, NULL) == 0);
        pthread_join(other, NULL);
    }
    return unused;
}

/* The child lacks threads that stand in the runtime's list, and its own may get their memory; so do its children. */
static void fork_among_threads(s2attn_plan plan, int generations) {
    enum { STAY = 4, END = 3 };
    pthread_t stay[STAY], end[END];
    for (int i = 0; i < STAY; i++) CHECK(pthread_create(&stay[i], NULL, call_and_stay, NULL) == 0);
    for (int i = 0; i < END; i++) CHECK(pthread_create(&end[i], NULL, call_and_end, NULL) == 0);
    for (int i = 0; i < STAY; i++) sem_wait(&called);
    for (int i = 0; i < END; i++) pthread_join(end[i], NULL);
    collect(plan, 3, 10);
    if (generations > 0) {
        pid_t child = fork_with_an_end();
        if (child == 0) {
            sem_init(&called, 0, 0), sem_init(&done, 0, 0);
            fork_among_threads(plan, generations - 1);
            if (generations & 1) exit(0);
            _exit(0);
        }
        CHECK(child_status(child) == 0);
    }
    collect(plan, 3, 10);
    for (int i = 0; i < STAY; i++) sem_post(&done);
    for (int i = 0; i < STAY; i++) pthread_join(stay[i], NULL);
}

static void fork_among_some_threads(void) {
    s2attn_config config = usual(3);
    sem_init(&called, 0, 0), sem_init(&done, 0, 0);
    fork_among_threads(planned(&config), 1);
}

static void forks_among_threads(void) {
    s2attn_config config = usual(3);
    s2attn_plan plan = planned(&config);
    sem_init(&called, 0, 0), sem_init(&done, 0, 0);
    for (int round = 0; round < 4; round++) fork_among_threads(plan, 3);
    pthread_t other;
    CHECK(pthread_create(&other, NULL, start_what_ends, NULL) == 0);
    for (int round = 0; round < 4; round++) fork_among_threads(plan, 2);
    stopping = 1;
    pthread_join(other, NULL);
}

/* Of a child that was made behind the C library's back nothing is kept: it is told so, at once. So are its children, and the parent goes on. */
static void a_fork_that_nobody_hears_of(void) {
    s2attn_config config = usual(2);
    s2attn_plan plan = planned(&config);
    must_work(plan);
    pid_t parent = getpid(), child = _Fork();
    if (child == 0) {
        end_with(parent);
        float *o = malloc(sizeof expected);
        CHECK(s2attn_forward(plan, q, k, v, NULL, o, NULL) == S2ATTN_ERROR_FORK && strstr(s2attn_last_error(), "_Fork") != NULL);
        pid_t grandchild = fork_with_an_end();
        if (grandchild == 0) exit(s2attn_destroy(plan) == S2ATTN_ERROR_FORK ? 0 : 1);
        CHECK(child_status(grandchild) == 0);
        exit(0);
    }
    CHECK(child_status(child) == 0);
    must_work(plan);
}

static int calling;

static void *keep_busy(void *size) {
    int64_t tokens = *(int64_t *)size;
    s2attn_config config = usual(2);
    config.tokens = config.group_size = tokens, config.heads = 8, config.head_dim = 128;
    float *x = calloc((size_t)tokens * 8 * 128, sizeof *x), *o = calloc((size_t)tokens * 8 * 128, sizeof *o);
    s2attn_plan plan = planned(&config);
    __atomic_store_n(&calling, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) CHECK(s2attn_forward(plan, x, x, x, NULL, o, NULL) == S2ATTN_SUCCESS);
    free(x), free(o);
    return NULL;
}

/* Calls of other threads are short: the fork waits, and every child works. */
static void fork_while_busy(void) {
    int64_t tokens = 256;
    pthread_t other;
    s2attn_config config = usual(4);
    s2attn_plan plan = planned(&config);
    must_work(plan);
    CHECK(pthread_create(&other, NULL, keep_busy, &tokens) == 0);
    for (int round = 0; round < 20; round++) {
        usleep(3000);
        pid_t child = fork_with_an_end();
        if (child == 0) {
            must_work(plan);
            _exit(0);
        }
        CHECK(child_status(child) == 0);
        must_work(plan);
    }
    stopping = 1;
    pthread_join(other, NULL);
}

/* A call of another thread goes on for longer than a fork waits: the child is told so, at once, and never hangs. */
static void fork_in_a_long_call(void) {
    int64_t tokens = 65536;
    pthread_t other;
    s2attn_config config = usual(2);
    s2attn_plan plan = planned(&config);
    must_work(plan);
    CHECK(pthread_create(&other, NULL, keep_busy, &tokens) == 0);
    while (!__atomic_load_n(&calling, __ATOMIC_ACQUIRE)) usleep(1000);
    usleep(500000); /* from the last statement before the call into it */
    pid_t child = fork_with_an_end();
    if (child == 0) {
        float *o = malloc(sizeof expected);
        CHECK(s2attn_forward(plan, q, k, v, NULL, o, NULL) == S2ATTN_ERROR_FORK && strstr(s2attn_last_error(), "fork") != NULL);
        CHECK(s2attn_create(&config, &plan) == S2ATTN_ERROR_FORK && plan == 0);
        CHECK(s2attn_destroy(1) == S2ATTN_ERROR_FORK);
        CHECK(s2attn_isa()[0] == 0);
        pid_t grandchild = fork_with_an_end();
        if (grandchild == 0) _exit(s2attn_destroy(1) == S2ATTN_ERROR_FORK ? 0 : 1);
        CHECK(child_status(grandchild) == 0);
        _exit(0);
    }
    CHECK(child_status(child) == 0);
    must_work(plan);
    _exit(0); /* the other thread's call may take minutes */
}

/* ---- Signals ---- */

static volatile sig_atomic_t caught;

static void on_interrupt(int signal) { caught = signal; }

static void interrupt(void) {
    signal(SIGPIPE, SIG_DFL); /* a parent in .NET leaves it ignored; the library must leave it as it is */
    s2attn_config config = usual(2);
    s2attn_plan plan = planned(&config);
    must_work(plan);
    signal(SIGINT, SIG_DFL);
    struct sigaction pipe_action;
    CHECK(sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL);
    pid_t child = fork_with_an_end();
    if (child == 0)
        for (;;) must_work(plan);
    usleep(200000);
    kill(child, SIGINT);
    int status = child_status(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    signal(SIGINT, on_interrupt);
    kill(getpid(), SIGINT);
    must_work(plan);
    CHECK(caught == SIGINT);
    pid_t writer = fork_with_an_end();
    if (writer == 0) {
        int ends[2];
        CHECK(pipe(ends) == 0);
        close(ends[0]);
        must_work(plan);
        if (write(ends[1], "x", 1) < 0) _exit(7);
        _exit(8);
    }
    status = child_status(writer);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

/* ---- dlclose ---- */

static void unload(void) {
    const char *path = getenv("S2ATTN_LIBRARY");
    CHECK(path != NULL);
    for (int round = 0; round < 3; round++) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        int32_t (*create)(const s2attn_config *, s2attn_plan *);
        *(void **)&create = dlsym(library, "s2attn_create");
        s2attn_config config = usual(4);
        s2attn_plan plan;
        CHECK(create(&config, &plan) == S2ATTN_SUCCESS);
        CHECK(dlclose(library) == 0);
        CHECK(child_status(fork_with_an_end() ?: (_exit(0), 0)) == 0);
    }
}

/* ---- More than 2^31 elements, and nothing read beyond the tensors ---- */

static void *reserve(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

/* Sparse: the rows of the second sequence lie 2^31 + 4096 elements behind those of the first, in q, k, v, o and all gradients. */
static void large(void) {
    int64_t far = ((int64_t)1 << 31) + 4096;
    s2attn_strides strides = {far, H * D, D};
    s2attn_config config = usual(2);
    config.batch = 2;
    config.query_strides = config.key_strides = config.value_strides = config.output_strides = &strides;
    config.query_gradient_strides = config.key_gradient_strides = config.value_gradient_strides = &strides;
    s2attn_plan plan = planned(&config);
    size_t bytes = (size_t)(far + ELEMENTS) * sizeof(float);
    float *t[8];
    for (int i = 0; i < 8; i++) t[i] = reserve(bytes);
    float *sources[] = {q, k, v};
    for (int i = 0; i < 3; i++)
        for (int b = 0; b < 2; b++) memcpy(t[i] + b * far, sources[i], sizeof expected);
    for (int b = 0; b < 2; b++) memcpy(t[4] + b * far, dout, sizeof expected);
    float *lse = malloc(2 * sizeof expected_lse);
    CHECK(s2attn_forward(plan, t[0], t[1], t[2], NULL, t[3], lse) == S2ATTN_SUCCESS);
    for (int b = 0; b < 2; b++) CHECK(close_to(t[3] + b * far, expected, ELEMENTS) && close_to(lse + b * N * H, expected_lse, N * H));
    CHECK(s2attn_backward(plan, t[0], t[1], t[2], NULL, t[3], lse, t[4], NULL, t[5], t[6], t[7]) == S2ATTN_SUCCESS);
    for (int i = 5; i < 8; i++) CHECK(memcmp(t[i], t[i] + far, sizeof expected) == 0 && t[i][5] != 0);
    /* What lies 2^31 elements on is o of the second sequence: an overlap is seen in 64 bits. */
    CHECK(s2attn_forward(plan, t[3] + far, t[1], t[2], NULL, t[3], lse) == S2ATTN_ERROR_ARGUMENT);
}

/* A tensor that ends where a page begins that cannot be touched, and one that begins where such a page ends. */
static float *guarded(const float *from, size_t count, int at_end) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = count * sizeof(float), whole = (bytes + page - 1) / page * page;
    char *memory = reserve(whole + 2 * page);
    CHECK(mprotect(memory, page, PROT_NONE) == 0 && mprotect(memory + page + whole, page, PROT_NONE) == 0);
    char *start = at_end ? memory + page + whole - bytes : memory + page;
    if (from != NULL) memcpy(start, from, bytes);
    return (float *)start;
}

static void guards(void) {
    for (int at_end = 0; at_end < 2; at_end++)
        for (int32_t count = 1; count <= 2; count++) {
            s2attn_config config = usual(count);
            s2attn_plan plan = planned(&config);
            float *gq = guarded(q, ELEMENTS, at_end), *gk = guarded(k, ELEMENTS, at_end), *gv = guarded(v, ELEMENTS, at_end), *gdo = guarded(dout, ELEMENTS, at_end);
            float *o = guarded(NULL, ELEMENTS, at_end), *lse = guarded(NULL, N * H, at_end);
            float *dq = guarded(NULL, ELEMENTS, at_end), *dk = guarded(NULL, ELEMENTS, at_end), *dv = guarded(NULL, ELEMENTS, at_end);
            CHECK(s2attn_forward(plan, gq, gk, gv, NULL, o, lse) == S2ATTN_SUCCESS);
            CHECK(close_to(o, expected, ELEMENTS));
            CHECK(s2attn_backward(plan, gq, gk, gv, NULL, o, lse, gdo, NULL, dq, dk, dv) == S2ATTN_SUCCESS);
            CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
        }
}

/* A level that the processor lacks, or that there is none of, is an error and no abort. */
static void level(void) {
    s2attn_config config = usual(1);
    s2attn_plan plan = 5;
    CHECK(s2attn_create(&config, &plan) == S2ATTN_ERROR_LIBRARY && plan == 0);
    CHECK(strstr(s2attn_last_error(), getenv("S2ATTN_ISA")) != NULL);
    CHECK(s2attn_isa()[0] == 0 && s2attn_version()[0] != 0 && s2attn_abi_version() == S2ATTN_ABI_VERSION);
}

static void isa(void) {
    s2attn_config config = usual(2);
    must_work(planned(&config));
    puts(s2attn_isa());
}

/* Peers' lse is [B,H,N]; keys may be one row for all heads (stride 0) and run backwards (negative). */
/* ---- Parts of a sequence, and caches: the rows of the whole, shares that add up, and each argument wrong in turn ---- */

static s2attn_slice part(int64_t first_query, int64_t end_query) {
    s2attn_slice slice = {sizeof slice, first_query, end_query, S2ATTN_NEEDED, S2ATTN_NEEDED, 0, 0};
    return slice;
}

static void refused_slice(const s2attn_config *config, s2attn_slice slice, const char *named) {
    s2attn_plan plan = 12345;
    CHECK(s2attn_create_slice(config, &slice, &plan) == S2ATTN_ERROR_ARGUMENT && plan == 0);
    CHECK(strstr(s2attn_last_error(), named) != NULL);
}

static void refused_grid(const s2attn_config *config, const s2attn_axis *axes, int64_t count, const char *named) {
    s2attn_plan plan = 12345;
    CHECK(s2attn_create_grid(config, axes, count, &plan) == S2ATTN_ERROR_ARGUMENT && plan == 0);
    CHECK(strstr(s2attn_last_error(), named) != NULL);
}

/* Tokens on axes: one axis is the text that it was, with the same bits; two are windows, by the definition in double; and each argument wrong in turn. */
static void grids(void) {
    enum { ROWS = 8, COLUMNS = 8, G = 4, S = 1 };
    s2attn_config config = usual(2);
    s2attn_plan plan = planned(&config);
    float *whole = malloc(8 * sizeof q), *o = whole, *dq = whole + ELEMENTS, *dk = dq + ELEMENTS, *dv = dk + ELEMENTS, *grid_o = dv + ELEMENTS, *grid_dq = grid_o + ELEMENTS;
    float *grid_dk = grid_dq + ELEMENTS, *grid_dv = grid_dk + ELEMENTS, lse[N * H], grid_lse[N * H];
    CHECK(s2attn_forward(plan, q, k, v, NULL, o, lse) == S2ATTN_SUCCESS);
    CHECK(s2attn_backward(plan, q, k, v, NULL, o, lse, dout, NULL, dq, dk, dv) == S2ATTN_SUCCESS);
    CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
    s2attn_axis text = {N, 16, S2ATTN_DEFAULT_SHIFT};
    config.group_size = 0;
    CHECK(s2attn_create_grid(&config, &text, 1, &plan) == S2ATTN_SUCCESS && plan != 0);
    CHECK(s2attn_forward(plan, q, k, v, NULL, grid_o, grid_lse) == S2ATTN_SUCCESS);
    CHECK(s2attn_backward(plan, q, k, v, NULL, grid_o, grid_lse, dout, NULL, grid_dq, grid_dk, grid_dv) == S2ATTN_SUCCESS);
    CHECK(memcmp(o, grid_o, sizeof q) == 0 && memcmp(lse, grid_lse, sizeof lse) == 0);
    CHECK(memcmp(dq, grid_dq, sizeof q) == 0 && memcmp(dk, grid_dk, sizeof q) == 0 && memcmp(dv, grid_dv, sizeof q) == 0);
    CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);

    s2attn_axis axes[] = {{ROWS, G, S}, {COLUMNS, G, S}, {1, 1, 0}};
    config.mask = S2ATTN_MASK_BIDIRECTIONAL_SPLIT;
    for (int64_t count = 2; count <= 3; count++) { /* a third axis of one token changes nothing */
        CHECK(s2attn_create_grid(&config, axes, count, &plan) == S2ATTN_SUCCESS);
        CHECK(s2attn_forward(plan, q, k, v, NULL, grid_o, NULL) == S2ATTN_SUCCESS && s2attn_destroy(plan) == S2ATTN_SUCCESS);
        for (int h = 0; h < H; h++)
            for (int t = 0; t < N; t++) {
                int shift = h >= H / 2 ? S : 0;
                double total = 0, row[D] = {0};
                for (int u = 0; u < N; u++) {
                    int of_t[] = {t / COLUMNS, t % COLUMNS}, of_u[] = {u / COLUMNS, u % COLUMNS}, sees = 1;
                    for (int axis = 0; axis < 2; axis++)
                        sees &= (of_t[axis] - shift + ROWS) % ROWS / G == (of_u[axis] - shift + ROWS) % ROWS / G && (of_t[axis] >= shift) == (of_u[axis] >= shift);
                    double dot = 0;
                    for (int d = 0; d < D; d++) dot += (double)q[(t * H + h) * D + d] * k[(u * H + h) * D + d];
                    double weight = sees ? exp(dot / 4) : 0;
                    total += weight;
                    for (int d = 0; d < D; d++) row[d] += weight * v[(u * H + h) * D + d];
                }
                for (int d = 0; d < D; d++) row[d] /= total, o[(t * H + h) * D + d] = (float)row[d];
            }
        CHECK(close_to(grid_o, o, ELEMENTS));
    }
    free(whole);

    CHECK(s2attn_create_grid(&config, axes, 2, NULL) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create_grid(NULL, axes, 2, &plan) == S2ATTN_ERROR_ARGUMENT && plan == 0);
    refused_grid(&config, NULL, 2, "axes is NULL");
    refused_grid(&config, axes, 0, "count = 0"), refused_grid(&config, axes, 4, "count = 4"), refused_grid(&config, axes, INT64_MIN, "count");
    refused_grid(&config, axes, 1, "64 places");
    int64_t wrong[] = {0, -1, 9, INT64_MAX, INT64_MIN, (int64_t)1 << 40};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        s2attn_axis bad[] = {{ROWS, G, S}, {COLUMNS, G, S}};
        bad[1].group_size = wrong[i], refused_grid(&config, bad, 2, "axes[1].group_size");
        bad[1].group_size = G, bad[1].tokens = wrong[i], refused_grid(&config, bad, 2, wrong[i] == 9 ? "64 places" : "axes[1].tokens");
        bad[1].tokens = COLUMNS, bad[1].shift = wrong[i];
        if (wrong[i] != 0 && wrong[i] != -1) refused_grid(&config, bad, 2, "axes[1].shift");
    }
    s2attn_axis ragged[] = {{ROWS, 3, 1}, {COLUMNS, G, S}};
    config.mask = S2ATTN_MASK_BIDIRECTIONAL, refused_grid(&config, ragged, 2, "axes[0].group_size");
    config.group_size = 16, refused_grid(&config, axes, 2, "group_size = 16");
    config.group_size = 0, config.shift = 2, refused_grid(&config, axes, 2, "shift = 2");
    config.shift = S2ATTN_DEFAULT_SHIFT;
    int64_t own[H] = {0, 0, 1, 1};
    config.shifted_heads = S2ATTN_HEADS_SHIFTS, config.shifts = own, refused_grid(&config, axes, 2, "shifted_heads");
}

static void slices(void) {
    enum { ROW = H * D };
    s2attn_config config = usual(2);
    s2attn_plan plan = planned(&config);
    float *whole = malloc(5 * sizeof q), *o = whole, *dq = whole + ELEMENTS, *dk = dq + ELEMENTS, *dv = dk + ELEMENTS, *part_o = dv + ELEMENTS;
    float *parts = calloc(5, sizeof q), *sum_dk = parts, *sum_dv = parts + ELEMENTS, *part_dq = sum_dv + ELEMENTS, *part_dk = part_dq + ELEMENTS, *part_dv = part_dk + ELEMENTS;
    float lse[N * H], part_lse[N * H];
    CHECK(s2attn_forward(plan, q, k, v, NULL, o, lse) == S2ATTN_SUCCESS);
    CHECK(s2attn_backward(plan, q, k, v, NULL, o, lse, dout, NULL, dq, dk, dv) == S2ATTN_SUCCESS);
    CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
    int64_t cuts[] = {0, 16, 17, 40, N};
    for (int i = 0; i + 1 < 5; i++) {
        s2attn_slice slice = part(cuts[i], cuts[i + 1]);
        CHECK(s2attn_slice_keys(&config, &slice) == S2ATTN_SUCCESS && slice.end_key == cuts[i + 1]);
        CHECK(slice.first_key == (cuts[i] < 8 ? 0 : (cuts[i] - 8) / 16 * 16 + 8 < cuts[i] / 16 * 16 ? (cuts[i] - 8) / 16 * 16 + 8 : cuts[i] / 16 * 16));
        slice.is_unbounded = i % 2;
        CHECK(s2attn_create_slice(&config, &slice, &plan) == S2ATTN_SUCCESS);
        const float *sq = q + slice.first_query * ROW, *sk = k + slice.first_key * ROW, *sv = v + slice.first_key * ROW;
        size_t rows = (size_t)(slice.end_query - slice.first_query);
        CHECK(s2attn_forward(plan, sq, sk, sv, NULL, part_o, part_lse) == S2ATTN_SUCCESS);
        CHECK(memcmp(part_o, o + slice.first_query * ROW, rows * ROW * sizeof *o) == 0 && memcmp(part_lse, lse + slice.first_query * H, rows * H * sizeof *lse) == 0);
        CHECK(s2attn_backward(plan, sq, sk, sv, NULL, part_o, part_lse, dout + slice.first_query * ROW, NULL, part_dq, part_dk, part_dv) == S2ATTN_SUCCESS);
        CHECK(memcmp(part_dq, dq + slice.first_query * ROW, rows * ROW * sizeof *dq) == 0);
        for (int64_t at = 0; at < (slice.end_key - slice.first_key) * ROW; at++) sum_dk[slice.first_key * ROW + at] += part_dk[at], sum_dv[slice.first_key * ROW + at] += part_dv[at];
        CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
    }
    CHECK(close_to(sum_dk, dk, ELEMENTS) && close_to(sum_dv, dv, ELEMENTS));
    free(whole);
    free(parts);

    /* Of two sequences each has the bits that it has alone, in every tensor: a sequence takes as many rows as the slice has queries, or keys, whichever the tensor holds. */
    s2attn_slice middle = part(17, 40);
    CHECK(s2attn_slice_keys(&config, &middle) == S2ATTN_SUCCESS);
    size_t of_queries = (size_t)(middle.end_query - middle.first_query) * ROW, of_keys = (size_t)(middle.end_key - middle.first_key) * ROW;
    enum { Q, K, V, DO, O, LSE, DQ, DK, DV, TENSORS };
    size_t elements[TENSORS] = {of_queries, of_keys, of_keys, of_queries, of_queries, of_queries / D, of_queries, of_keys, of_keys};
    const float *sources[2][DO + 1] = {{q, k, v, dout}, {k, v, dout, q}};
    for (config.layout = S2ATTN_LAYOUT_BNHD; config.layout <= S2ATTN_LAYOUT_BHND; config.layout++) {
        float *both[TENSORS], *alone[TENSORS];
        for (int i = 0; i < TENSORS; i++) {
            both[i] = calloc(2 * elements[i], sizeof(float)), alone[i] = calloc(elements[i], sizeof(float));
            for (int b = 0; b < 2 && i <= DO; b++) memcpy(both[i] + b * elements[i], sources[b][i], elements[i] * sizeof(float));
        }
        config.batch = 2;
        CHECK(s2attn_create_slice(&config, &middle, &plan) == S2ATTN_SUCCESS);
        CHECK(s2attn_forward(plan, both[Q], both[K], both[V], NULL, both[O], both[LSE]) == S2ATTN_SUCCESS);
        CHECK(s2attn_backward(plan, both[Q], both[K], both[V], NULL, both[O], both[LSE], both[DO], NULL, both[DQ], both[DK], both[DV]) == S2ATTN_SUCCESS);
        CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
        config.batch = 1;
        CHECK(s2attn_create_slice(&config, &middle, &plan) == S2ATTN_SUCCESS);
        for (int b = 0; b < 2; b++) {
            for (int i = Q; i <= DO; i++) memcpy(alone[i], both[i] + b * elements[i], elements[i] * sizeof(float));
            CHECK(s2attn_forward(plan, alone[Q], alone[K], alone[V], NULL, alone[O], alone[LSE]) == S2ATTN_SUCCESS);
            CHECK(s2attn_backward(plan, alone[Q], alone[K], alone[V], NULL, alone[O], alone[LSE], alone[DO], NULL, alone[DQ], alone[DK], alone[DV]) == S2ATTN_SUCCESS);
            for (int i = O; i < TENSORS; i++) CHECK(memcmp(alone[i], both[i] + b * elements[i], elements[i] * sizeof(float)) == 0);
        }
        CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
        for (int i = 0; i < TENSORS; i++) free(both[i]), free(alone[i]);
    }
    config.layout = S2ATTN_LAYOUT_BNHD;

    s2attn_slice slice = part(0, 4);
    CHECK(s2attn_create_slice(&config, NULL, &plan) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "slice"));
    CHECK(s2attn_create_slice(&config, &slice, NULL) == S2ATTN_ERROR_ARGUMENT);
    CHECK(s2attn_create_slice(NULL, &slice, &plan) == S2ATTN_ERROR_ARGUMENT && plan == 0);
    CHECK(s2attn_slice_keys(&config, NULL) == S2ATTN_ERROR_ARGUMENT && s2attn_slice_keys(NULL, &slice) == S2ATTN_ERROR_ARGUMENT);
    int64_t huge[] = {-2, INT32_MIN, INT64_MAX, INT64_MIN, (int64_t)1 << 40};
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        slice = part(huge[i], 4), refused_slice(&config, slice, "first_query");
        slice = part(0, huge[i]), refused_slice(&config, slice, "end_query");
        slice = part(0, 4), slice.first_key = huge[i], refused_slice(&config, slice, "first_key");
        slice = part(0, 4), slice.end_key = huge[i], refused_slice(&config, slice, "end_key");
        slice = part(0, 4), slice.struct_size = huge[i], refused_slice(&config, slice, "struct_size");
    }
    slice = part(0, N + 1), refused_slice(&config, slice, "tokens");
    slice = part(20, 24), slice.first_key = 17, refused_slice(&config, slice, "first_key");
    slice = part(20, 24), slice.reserved = 1, refused_slice(&config, slice, "reserved");
    slice = part(20, 24), slice.is_unbounded = 1, config.mask = S2ATTN_MASK_LOCAL_CAUSAL, refused_slice(&config, slice, "is_unbounded");
}

static void cache(void) {
    enum { ROW = H * D, CHUNK = 24 };
    s2attn_config config = usual(2);
    s2attn_cache cache, other = 12345;
    float o[CHUNK * ROW], lse[CHUNK * H];
    CHECK(s2attn_cache_create(&config, 2, CHUNK, &cache) == S2ATTN_SUCCESS && cache != 0);
    s2attn_cache_info info = {.struct_size = sizeof info};
    int64_t steps[] = {CHUNK, 1, 3, 1, 8, 9, 1, 1, 1, 1, 1, 1, 1, 1, 10};
    for (int64_t t = 0, i = 0; t < N; t += steps[i++]) {
        CHECK(s2attn_cache_append(cache, 1, steps[i], k + t * ROW, v + t * ROW) == S2ATTN_SUCCESS);
        CHECK(s2attn_cache_attend(cache, 1, steps[i], q + t * ROW, o, lse) == S2ATTN_SUCCESS);
        CHECK(close_to(o, expected + t * ROW, (int)steps[i] * ROW) && close_to(lse, expected_lse + t * H, (int)steps[i] * H));
        CHECK(s2attn_cache_query(cache, 1, &info) == S2ATTN_SUCCESS && info.length == t + steps[i] && info.length - info.first_key <= 16 && info.max_rows == 16 + CHUNK);
    }
    CHECK(s2attn_cache_query(cache, 0, &info) == S2ATTN_SUCCESS && info.length == 0);
    CHECK(s2attn_cache_reset(cache, S2ATTN_ALL_SEQUENCES) == S2ATTN_SUCCESS && s2attn_cache_query(cache, 1, &info) == S2ATTN_SUCCESS && info.length == 0);

    /* Each argument wrong in turn. */
    CHECK(s2attn_cache_create(&config, 2, CHUNK, NULL) == S2ATTN_ERROR_ARGUMENT);
    int64_t wrong[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 40};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK(s2attn_cache_create(&config, wrong[i], CHUNK, &other) == S2ATTN_ERROR_ARGUMENT && other == 0 && strstr(s2attn_last_error(), "sequences"));
        CHECK(s2attn_cache_create(&config, 1, wrong[i], &other) == S2ATTN_ERROR_ARGUMENT && other == 0 && strstr(s2attn_last_error(), "max_chunk"));
        if (wrong[i] != 0) CHECK(s2attn_cache_append(cache, 0, wrong[i], k, v) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "tokens"));
        if (wrong[i] != 0) CHECK(s2attn_cache_attend(cache, 0, wrong[i], q, o, lse) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "tokens"));
        if (wrong[i] < -1 || wrong[i] > 1) CHECK(s2attn_cache_reset(cache, wrong[i]) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "sequence"));
        CHECK(wrong[i] == 0 || s2attn_cache_query(cache, wrong[i], &info) == S2ATTN_ERROR_ARGUMENT);
    }
    CHECK(s2attn_cache_append(cache, 0, 1, NULL, v) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "k is NULL"));
    CHECK(s2attn_cache_attend(cache, 0, 1, q, o, lse) == S2ATTN_ERROR_ARGUMENT); /* nothing was appended */
    CHECK(s2attn_cache_query(cache, 0, &info) == S2ATTN_SUCCESS && info.length == 0);
    CHECK(s2attn_cache_query(cache, 0, NULL) == S2ATTN_ERROR_ARGUMENT);
    info.struct_size = 8;
    CHECK(s2attn_cache_query(cache, 0, &info) == S2ATTN_ERROR_ARGUMENT);
    config.mask = S2ATTN_MASK_BIDIRECTIONAL;
    CHECK(s2attn_cache_create(&config, 1, CHUNK, &other) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "mask"));
    CHECK(s2attn_cache_destroy(cache) == S2ATTN_SUCCESS && s2attn_cache_destroy(0) == S2ATTN_SUCCESS);
    CHECK(s2attn_cache_destroy(cache) == S2ATTN_ERROR_HANDLE && s2attn_cache_reset(cache, 0) == S2ATTN_ERROR_HANDLE);
}

static void strides(void) {
    s2attn_config config = usual(1);
    s2attn_strides heads_first = {H * N, 1, N}, broadcast = {0, D, 0}, dense = {N * H * D, H * D, D};
    config.lse_strides = &heads_first;
    s2attn_plan plan = planned(&config);
    float *o = malloc(sizeof expected), *lse = malloc(sizeof expected_lse), *other = malloc(sizeof expected);
    CHECK(s2attn_forward(plan, q, k, v, NULL, o, lse) == S2ATTN_SUCCESS);
    for (int h = 0; h < H; h++)
        for (int t = 0; t < N; t++) CHECK(fabsf(lse[h * N + t] - expected_lse[t * H + h]) < 1e-4f);
    config = usual(1), config.key_strides = &broadcast;
    CHECK(s2attn_forward(planned(&config), q, k, v, NULL, o, NULL) == S2ATTN_SUCCESS);
    float *repeated = malloc(sizeof expected), *reversed = malloc(sizeof expected);
    for (int t = 0; t < N; t++)
        for (int h = 0; h < H; h++) memcpy(repeated + (t * H + h) * D, k + t * D, D * sizeof(float));
    for (int t = 0; t < N; t++) memcpy(reversed + t * H * D, repeated + (N - 1 - t) * H * D, H * D * sizeof(float));
    dense.token = -H * D;
    config = usual(1), config.key_strides = &dense;
    CHECK(s2attn_forward(planned(&config), q, reversed + (N - 1) * H * D, v, NULL, other, NULL) == S2ATTN_SUCCESS);
    CHECK(memcmp(o, other, sizeof expected) == 0);
}

/* ---- The last value that a rule allows and the first that it refuses, and what each call leaves in its outputs ---- */

static void edges(void) {
    s2attn_plan plan = 12345;
    s2attn_config config = usual(1);
    int32_t empty[] = {0}, starts[] = {0, N};
    float *o = malloc(sizeof expected), lse[N * H];

    /* Structs of the neighbouring sizes, larger and smaller. */
    int64_t others[] = {-8, -1, 1, 8};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        s2attn_slice slice = part(0, 4);
        slice.struct_size += others[i], refused_slice(&config, slice, "slice.struct_size");
        s2attn_info info = {.struct_size = sizeof info + others[i]};
        plan = planned(&config);
        CHECK(s2attn_query(plan, &info) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "info.struct_size") && info.threads == 0);
        CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
        REFUSED(struct_size, (int64_t)sizeof config + others[i], S2ATTN_ERROR_ARGUMENT);
        CHECK(s2attn_config_init(&config, (int64_t)sizeof config + others[i]) == S2ATTN_ERROR_ARGUMENT);
    }

    /* What fails leaves no handle; what succeeds leaves no message, also where there is nothing to do. */
    plan = 12345;
    CHECK(s2attn_create_varlen(&config, starts, 2, 9, &plan) == S2ATTN_ERROR_ARGUMENT && plan == 0 && s2attn_last_error()[0] != 0);
    CHECK(s2attn_destroy(0) == S2ATTN_SUCCESS && s2attn_last_error()[0] == 0);
    CHECK(s2attn_create(NULL, &plan) == S2ATTN_ERROR_ARGUMENT && s2attn_cache_destroy(0) == S2ATTN_SUCCESS && s2attn_last_error()[0] == 0);

    /* A group of the whole sequence, a batch of no sequences. */
    s2attn_info info = {.struct_size = sizeof info};
    config.group_rule = S2ATTN_GROUP_RATIO, config.group_ratio = 1;
    plan = planned(&config);
    CHECK(s2attn_query(plan, &info) == S2ATTN_SUCCESS && info.group_size == N && info.shift == N / 2);
    CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
    config = usual(1), config.tokens = 0;
    CHECK(s2attn_create_varlen(&config, empty, 1, S2ATTN_INDEX_I32, &plan) == S2ATTN_SUCCESS);
    CHECK(s2attn_forward(plan, NULL, NULL, NULL, NULL, NULL, NULL) == S2ATTN_SUCCESS);
    CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);

    /* What slice_keys writes it does not read. */
    s2attn_slice slice = part(20, 24);
    slice.first_key = 23, slice.end_key = -9, config = usual(1);
    CHECK(s2attn_slice_keys(&config, &slice) == S2ATTN_SUCCESS && slice.first_key == 8 && slice.end_key == 24);

    /* Gradients are stored in f32 or as their tensors are, and the latter take sums. */
    int32_t types[] = {S2ATTN_DTYPE_F32, S2ATTN_DTYPE_F16, S2ATTN_DTYPE_BF16};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            config = usual(2), config.kv_heads = 2, config.dtype = types[i], config.gradient_dtype = types[j];
            if (types[j] != S2ATTN_DTYPE_F32 && types[j] != types[i]) {
                refused(&config, S2ATTN_ERROR_ARGUMENT, "gradient_dtype");
                continue;
            }
            plan = planned(&config);
            CHECK(s2attn_query(plan, &info) == S2ATTN_SUCCESS);
            CHECK(info.workspace_bytes == 2 * info.workspace_bytes_per_thread + (types[j] == S2ATTN_DTYPE_F32 ? 0 : 2 * 4 * N * 2 * D));
            CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
        }

    /* Memory that no machine has is refused as such. */
    config = usual(4096), config.head_dim = 65536, config.heads = 1, config.tokens = 16;
    int32_t code = s2attn_create(&config, &plan);
    CHECK(code == S2ATTN_SUCCESS ? s2attn_destroy(plan) == S2ATTN_SUCCESS : code == S2ATTN_ERROR_MEMORY && plan == 0);

    /* Gradients are dense where no strides are given, whatever those of their tensors are; dlse lies as lse does. */
    s2attn_strides heads_first = {N * H * D, D, N * D}, lse_heads_first = {N * H, 1, N};
    float *t = malloc(9 * sizeof expected), *hk = t, *hv = t + ELEMENTS, *dq[2] = {t + 2 * ELEMENTS, t + 3 * ELEMENTS}, *dk[2] = {t + 4 * ELEMENTS, t + 5 * ELEMENTS}, *dv[2] = {t + 6 * ELEMENTS, t + 7 * ELEMENTS};
    float dlse[N * H], turned[N * H], turned_lse[N * H];
    for (int n = 0; n < N; n++)
        for (int h = 0; h < H; h++) {
            memcpy(hk + (h * N + n) * D, k + (n * H + h) * D, D * sizeof(float));
            memcpy(hv + (h * N + n) * D, v + (n * H + h) * D, D * sizeof(float));
            turned[h * N + n] = dlse[n * H + h] = cosf((float)(3 * n + h));
        }
    for (int i = 0; i < 2; i++) {
        config = usual(1);
        if (i == 1) config.key_strides = config.value_strides = &heads_first, config.lse_strides = &lse_heads_first;
        plan = planned(&config);
        CHECK(s2attn_forward(plan, q, i ? hk : k, i ? hv : v, NULL, o, i ? turned_lse : lse) == S2ATTN_SUCCESS);
        CHECK(s2attn_backward(plan, q, i ? hk : k, i ? hv : v, NULL, o, i ? turned_lse : lse, dout, i ? turned : dlse, dq[i], dk[i], dv[i]) == S2ATTN_SUCCESS);
        CHECK(s2attn_destroy(plan) == S2ATTN_SUCCESS);
    }
    CHECK(memcmp(dq[0], dq[1], sizeof expected) == 0 && memcmp(dk[0], dk[1], sizeof expected) == 0 && memcmp(dv[0], dv[1], sizeof expected) == 0);

    /* A cache of each type, two sequences of which each is reset alone and both at once. */
    for (int i = 0; i < 3; i++) {
        static char none[8 * H * D * sizeof(float)];
        s2attn_cache cache = 12345;
        s2attn_cache_info state = {.struct_size = sizeof state};
        config = usual(1), config.dtype = types[i];
        config.layout = S2ATTN_LAYOUT_BHND;
        CHECK(s2attn_cache_create(&config, 2, 4, &cache) == S2ATTN_ERROR_UNSUPPORTED && cache == 0);
        config.layout = S2ATTN_LAYOUT_BNHD;
        CHECK(s2attn_cache_create(&config, 2, 4, &cache) == S2ATTN_SUCCESS);
        for (int all = 0; all < 2; all++) {
            CHECK(s2attn_cache_append(cache, S2ATTN_ALL_SEQUENCES, 3, none, none) == S2ATTN_SUCCESS);
            CHECK(s2attn_cache_reset(cache, all ? S2ATTN_ALL_SEQUENCES : 0) == S2ATTN_SUCCESS);
            CHECK(s2attn_cache_query(cache, 0, &state) == S2ATTN_SUCCESS && state.length == 0);
            CHECK(s2attn_cache_query(cache, 1, &state) == S2ATTN_SUCCESS && state.length == (all ? 0 : 3) && state.bytes == 2 * 2 * 20 * H * D * (i == 0 ? 4 : 2));
        }
        for (size_t size = 0; size < sizeof others / sizeof others[0]; size++) {
            state.struct_size = sizeof state + others[size];
            CHECK(s2attn_cache_query(cache, 0, &state) == S2ATTN_ERROR_ARGUMENT && strstr(s2attn_last_error(), "info.struct_size"));
        }
        CHECK(s2attn_cache_destroy(cache) == S2ATTN_SUCCESS);
    }
    free(t);
    free(o);
}

int main(int count, char **given) {
    struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"arguments", arguments}, {"threads", threads}, {"fork", forks}, {"fork-among-threads", forks_among_threads}, {"fork-among-some-threads", fork_among_some_threads}, {"fork-unheard", a_fork_that_nobody_hears_of}, {"fork-while-busy", fork_while_busy}, {"fork-in-a-long-call", fork_in_a_long_call},
        {"interrupt", interrupt}, {"unload", unload}, {"large", large}, {"guards", guards}, {"level", level}, {"isa", isa}, {"strides", strides}, {"slices", slices}, {"grids", grids}, {"cache", cache}, {"edges", edges},
    };
    alarm(120); /* a hang is a failure */
    define();
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        if (count == 2 && strcmp(given[1], tests[i].name) == 0) {
            tests[i].run();
            return 0;
        }
    fprintf(stderr, "c_abi_test: which test?\n");
    return 2;
}
