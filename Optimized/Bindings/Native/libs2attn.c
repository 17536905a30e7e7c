/* Which build of the kernels does this processor run? The one library that programs link: it opens the build of the right instruction set beside itself, forwards
 * to it, and keeps what the host has: its SIGPIPE handler, and its right to fork. A build must never be opened on a processor that lacks its instructions: it would
 * abort the host. */
#define _GNU_SOURCE
#include "host.h"
#include "ort.h"
#include "pool.h"
#include "s2attn.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef S2ATTN_VERSION
#error "build.sh passes the version"
#endif

static struct {
    int32_t (*create)(const s2attn_config *, s2attn_plan *);
    int32_t (*create_varlen)(const s2attn_config *, const void *, int64_t, int32_t, s2attn_plan *);
    int32_t (*create_slice)(const s2attn_config *, const s2attn_slice *, s2attn_plan *);
    int32_t (*create_grid)(const s2attn_config *, const s2attn_axis *, int64_t, s2attn_plan *);
    int32_t (*slice_keys)(const s2attn_config *, s2attn_slice *);
    int32_t (*cache_create)(const s2attn_config *, int64_t, int64_t, s2attn_cache *);
    int32_t (*cache_append)(s2attn_cache, int64_t, int64_t, const void *, const void *);
    int32_t (*cache_attend)(s2attn_cache, int64_t, int64_t, const void *, void *, float *);
    int32_t (*cache_reset)(s2attn_cache, int64_t);
    int32_t (*cache_query)(s2attn_cache, int64_t, s2attn_cache_info *);
    int32_t (*cache_destroy)(s2attn_cache);
    int32_t (*forward)(s2attn_plan, const void *, const void *, const void *, const uint8_t *, void *, float *);
    int32_t (*backward)(s2attn_plan, const void *, const void *, const void *, const uint8_t *, const void *, const float *, const void *, const float *, void *, void *, void *);
    int32_t (*query)(s2attn_plan, s2attn_info *);
    int32_t (*destroy)(s2attn_plan);
    void (*watch)(const host_gate *gate);
    int32_t (*may_fork)(void);
    void (*forked)(void);
    void (*start)(const host_pool *pool);
    void (*last_error)(char *, int32_t);
    struct OrtStatus *(*register_custom_ops)(struct OrtSessionOptions *, const struct OrtApiBase *, ort_operator *, int32_t count, int32_t size);
    struct OrtStatus *(*kernel_create)(const struct OrtApi *, const void *, void **);
    struct OrtStatus *(*kernel_compute)(void *, void *);
    void (*kernel_destroy)(void *);
} core;

static __thread char last_error[1024];

/* What loading came to. `loading` is held while a library is opened, and across a fork, so that no child finds the work half done. */
enum { UNTRIED, LOADED, FAILED };
static atomic_int state = UNTRIED;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static char load_error[1024];
static const char *isa = "";

/* ---- Fork: it waits until no call is under way, and holds new ones back. Neither waits in the runtime, whose locks the child would inherit. What the runtime's own threads do,
 * and a thread that leaves the runtime as it ends, counts as a call. What the child's runtime still reads of threads that the child lacks is kept by runtime_threads.c. ---- */

enum { PATIENCE_MS = 5000 };
static atomic_int calls, forks;
static __thread const char *lost_by_fork;
static const char *unusable; /* why, in a child for which it is so */

/* 1, and 0 in a child that _Fork or clone made: they ask nobody, but the kernel wipes the page. */
static int always = 1, *prepared = &always;

static void prepare(void) {
    void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) != 0) return;
    prepared = page;
    *prepared = 1;
}

static const char *why_unusable(void) {
    if (unusable == NULL && !*prepared) unusable = "this process was made by _Fork or clone, of which a library hears nothing: the library cannot be used in it";
    return unusable;
}

static void pause_briefly(void) {
    struct timespec pause = {0, 200000};
    nanosleep(&pause, NULL);
}

static int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000 + now.tv_nsec / 1000000;
}

/* Not 0 where the library cannot be used in this process. */
static int32_t enter(void) {
    for (;;) {
        if (why_unusable() != NULL) return S2ATTN_ERROR_FORK;
        atomic_fetch_add(&calls, 1);
        if (atomic_load(&forks) == 0) return S2ATTN_SUCCESS;
        atomic_fetch_sub(&calls, 1);
        while (atomic_load(&forks) != 0) pause_briefly();
    }
}

static void hold(void) { atomic_fetch_add(&calls, 1); }

static void leave(void) { atomic_fetch_sub(&calls, 1); }

/* It does not wait for a fork: whoever forks may be about to join this thread, as before_fork does with those of pools. */
static int32_t ends(void) {
    hold();
    return why_unusable() != NULL || (atomic_load(&forks) != 0 && !in_pool) ? THREAD_STAYS : THREAD_LEAVES;
}

static void before_fork(void) {
    atomic_fetch_add(&forks, 1);
    pthread_mutex_lock(&loading);
    lost_by_fork = why_unusable();
    if (state != LOADED || lost_by_fork != NULL) return;
    int64_t end = milliseconds() + PATIENCE_MS;
    while (atomic_load(&calls) != 0 && milliseconds() < end) pause_briefly();
    if (atomic_load(&calls) != 0) {
        lost_by_fork = "this process was forked while another thread was in a call: the library cannot be used in it";
        return;
    }
    for (pool *p = pools; p != NULL; p = p->next) pool_stop(p);
    if (!core.may_fork()) lost_by_fork = "this process was forked, and its C library gives what the library knows of other threads to new ones: the library cannot be used in it";
}

static void after_fork_in_parent(void) {
    pthread_mutex_unlock(&loading);
    atomic_fetch_sub(&forks, 1);
}

static void after_fork_in_child(void) {
    unusable = lost_by_fork;
    *prepared = 1;
    if (state == LOADED) core.forked();
    pthread_mutex_unlock(&loading);
    atomic_store(&calls, 0);
    atomic_store(&forks, 0);
}

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

static const host_gate gate = {hold, leave, ends};
static const host_pool threads = {pool_create, pool_run, pool_destroy};

/* ---- Levels, the widest first ---- */

#if defined(__x86_64__)
static const char *const levels[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2"};

static int processor_has(int level) {
    __builtin_cpu_init();
    return level == 0 ? __builtin_cpu_supports("x86-64-v4") : level == 1 ? __builtin_cpu_supports("x86-64-v3") : __builtin_cpu_supports("x86-64-v2");
}
#elif defined(__aarch64__)
static const char *const levels[] = {"arm64"};

static int processor_has(int level) { return level == 0; }
#else
#error "libs2attn is built for x86-64 and arm64"
#endif
enum { LEVELS = sizeof levels / sizeof levels[0] };

static int resolve(void *library) {
    struct {
        const char *name;
        void *target;
    } functions[] = {
        {"s2attn_core_create", &core.create},
        {"s2attn_core_create_varlen", &core.create_varlen},
        {"s2attn_core_create_slice", &core.create_slice},
        {"s2attn_core_create_grid", &core.create_grid},
        {"s2attn_core_slice_keys", &core.slice_keys},
        {"s2attn_core_cache_create", &core.cache_create},
        {"s2attn_core_cache_append", &core.cache_append},
        {"s2attn_core_cache_attend", &core.cache_attend},
        {"s2attn_core_cache_reset", &core.cache_reset},
        {"s2attn_core_cache_query", &core.cache_query},
        {"s2attn_core_cache_destroy", &core.cache_destroy},
        {"s2attn_core_forward", &core.forward},
        {"s2attn_core_backward", &core.backward},
        {"s2attn_core_query", &core.query},
        {"s2attn_core_destroy", &core.destroy},
        {"s2attn_core_watch", &core.watch},
        {"s2attn_core_may_fork", &core.may_fork},
        {"s2attn_core_forked", &core.forked},
        {"s2attn_core_start", &core.start},
        {"s2attn_core_last_error", &core.last_error},
        {"s2attn_core_register_custom_ops", &core.register_custom_ops},
        {"s2attn_core_kernel_create", &core.kernel_create},
        {"s2attn_core_kernel_compute", &core.kernel_compute},
        {"s2attn_core_kernel_destroy", &core.kernel_destroy},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *address = dlsym(library, functions[i].name);
        if (address == NULL) {
            snprintf(load_error, sizeof load_error, "%.900s", dlerror());
            return 0;
        }
        memcpy(functions[i].target, &address, sizeof address);
    }
    return 1;
}

/* The first level that may be opened and, where S2ATTN_ISA asks for one, the only one. */
static int choose(int *only) {
    int widest = LEVELS, wanted = LEVELS;
    for (int level = LEVELS - 1; level >= 0 && processor_has(level); level--) widest = level;
    *only = 0;
    if (widest == LEVELS) {
        snprintf(load_error, sizeof load_error, "the processor lacks %s, the least that the kernels need", levels[LEVELS - 1]);
        return LEVELS;
    }
    const char *asked = getenv("S2ATTN_ISA");
    if (asked == NULL || *asked == 0) return widest;
    for (int level = 0; level < LEVELS; level++)
        if (strcmp(asked, levels[level]) == 0) wanted = level;
    if (wanted < LEVELS && wanted >= widest) {
        *only = 1;
        return wanted;
    }
    int used = snprintf(load_error, sizeof load_error, "S2ATTN_ISA = %.80s: must be one of", asked);
    for (int level = widest; level < LEVELS; level++)
        used += snprintf(load_error + used, sizeof load_error - used, "%s %s", level > widest ? "," : "", levels[level]);
    snprintf(load_error + used, sizeof load_error - used, ": what this processor has");
    return LEVELS;
}

static int load(void) {
    int only, level = choose(&only);
    Dl_info self;
    if (level == LEVELS) return 0;
    if (dladdr((void *)&loading, &self) == 0 || self.dli_fname == NULL) {
        snprintf(load_error, sizeof load_error, "the folder of libs2attn is not known");
        return 0;
    }
    const char *slash = strrchr(self.dli_fname, '/');
    int folder = slash == NULL ? 0 : (int)(slash - self.dli_fname + 1);
    for (; level < LEVELS; level++) {
        char path[4096];
        if (snprintf(path, sizeof path, "%.*slibs2attn-%s.so", folder, self.dli_fname, levels[level]) >= (int)sizeof path) {
            snprintf(load_error, sizeof load_error, "the path of libs2attn is too long");
            return 0;
        }
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) snprintf(load_error, sizeof load_error, "%.900s", dlerror());
        else if (resolve(library)) {
            /* The runtime starts here, and ignores SIGPIPE for the whole process: that is the host's to decide. */
            struct sigaction pipe;
            int saved = sigaction(SIGPIPE, NULL, &pipe) == 0;
            prepare();
            core.watch(&gate);
            core.start(&threads);
            if (saved) sigaction(SIGPIPE, &pipe, NULL);
            isa = levels[level];
            return 1;
        }
        if (only) return 0; /* what was asked for is not replaced in silence */
    }
    return 0;
}

/* ---- Answers ---- */

static int32_t failed(int32_t code, const char *message) {
    snprintf(last_error, sizeof last_error, "%s", message);
    return code;
}

/* Begins a call; `answered` ends it. */
static int32_t ready(void) {
    last_error[0] = 0;
    if (atomic_load(&state) != LOADED) {
        pthread_mutex_lock(&loading);
        if (state == UNTRIED) atomic_store(&state, load() ? LOADED : FAILED);
        pthread_mutex_unlock(&loading);
        if (state != LOADED) return failed(S2ATTN_ERROR_LIBRARY, load_error);
    }
    return enter() == S2ATTN_SUCCESS ? S2ATTN_SUCCESS : failed(S2ATTN_ERROR_FORK, unusable);
}

static int32_t answered(int32_t code) {
    if (code != S2ATTN_SUCCESS) core.last_error(last_error, sizeof last_error);
    leave();
    return code;
}

int32_t s2attn_config_init(s2attn_config *config, int64_t struct_size) {
    last_error[0] = 0;
    if (config == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "config is NULL");
    if (struct_size != (int64_t)sizeof *config) {
        snprintf(last_error, sizeof last_error, "struct_size = %lld: must be sizeof(s2attn_config) = %zu; was the program built with a later s2attn.h?", (long long)struct_size, sizeof *config);
        return S2ATTN_ERROR_ARGUMENT;
    }
    memset(config, 0, sizeof *config);
    config->struct_size = sizeof *config;
    config->shift = S2ATTN_DEFAULT_SHIFT;
    config->scale = NAN;
    return S2ATTN_SUCCESS;
}

int32_t s2attn_create(const s2attn_config *config, s2attn_plan *plan) {
    if (plan == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "plan is NULL");
    *plan = 0;
    int32_t code = ready();
    return code ? code : answered(core.create(config, plan));
}

int32_t s2attn_create_varlen(const s2attn_config *config, const void *cu_seqlens, int64_t count, int32_t index_type, s2attn_plan *plan) {
    if (plan == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "plan is NULL");
    *plan = 0;
    int32_t code = ready();
    return code ? code : answered(core.create_varlen(config, cu_seqlens, count, index_type, plan));
}

int32_t s2attn_create_slice(const s2attn_config *config, const s2attn_slice *slice, s2attn_plan *plan) {
    if (plan == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "plan is NULL");
    *plan = 0;
    int32_t code = ready();
    return code ? code : answered(core.create_slice(config, slice, plan));
}

int32_t s2attn_create_grid(const s2attn_config *config, const s2attn_axis *axes, int64_t count, s2attn_plan *plan) {
    if (plan == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "plan is NULL");
    *plan = 0;
    int32_t code = ready();
    return code ? code : answered(core.create_grid(config, axes, count, plan));
}

int32_t s2attn_slice_keys(const s2attn_config *config, s2attn_slice *slice) {
    int32_t code = ready();
    return code ? code : answered(core.slice_keys(config, slice));
}

int32_t s2attn_cache_create(const s2attn_config *config, int64_t sequences, int64_t max_chunk, s2attn_cache *cache) {
    if (cache == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "cache is NULL");
    *cache = 0;
    int32_t code = ready();
    return code ? code : answered(core.cache_create(config, sequences, max_chunk, cache));
}

int32_t s2attn_cache_append(s2attn_cache cache, int64_t sequence, int64_t tokens, const void *k, const void *v) {
    int32_t code = ready();
    return code ? code : answered(core.cache_append(cache, sequence, tokens, k, v));
}

int32_t s2attn_cache_attend(s2attn_cache cache, int64_t sequence, int64_t tokens, const void *q, void *o, float *lse) {
    int32_t code = ready();
    return code ? code : answered(core.cache_attend(cache, sequence, tokens, q, o, lse));
}

int32_t s2attn_cache_reset(s2attn_cache cache, int64_t sequence) {
    int32_t code = ready();
    return code ? code : answered(core.cache_reset(cache, sequence));
}

int32_t s2attn_cache_query(s2attn_cache cache, int64_t sequence, s2attn_cache_info *info) {
    if (info == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "info is NULL");
    if (info->struct_size != (int64_t)sizeof *info) {
        snprintf(last_error, sizeof last_error, "info.struct_size = %lld: must be sizeof(s2attn_cache_info) = %zu", (long long)info->struct_size, sizeof *info);
        return S2ATTN_ERROR_ARGUMENT;
    }
    int32_t code = ready();
    return code ? code : answered(core.cache_query(cache, sequence, info));
}

int32_t s2attn_cache_destroy(s2attn_cache cache) {
    if (cache == 0) {
        last_error[0] = 0;
        return S2ATTN_SUCCESS;
    }
    int32_t code = ready();
    return code ? code : answered(core.cache_destroy(cache));
}

int32_t s2attn_forward(s2attn_plan plan, const void *q, const void *k, const void *v, const uint8_t *valid, void *o, float *lse) {
    int32_t code = ready();
    return code ? code : answered(core.forward(plan, q, k, v, valid, o, lse));
}

int32_t s2attn_backward(s2attn_plan plan, const void *q, const void *k, const void *v, const uint8_t *valid, const void *o, const float *lse,
                        const void *output_gradient, const float *dlse, void *dq, void *dk, void *dv) {
    int32_t code = ready();
    return code ? code : answered(core.backward(plan, q, k, v, valid, o, lse, output_gradient, dlse, dq, dk, dv));
}

int32_t s2attn_query(s2attn_plan plan, s2attn_info *info) {
    if (info == NULL) return failed(S2ATTN_ERROR_ARGUMENT, "info is NULL");
    if (info->struct_size != (int64_t)sizeof *info) {
        snprintf(last_error, sizeof last_error, "info.struct_size = %lld: must be sizeof(s2attn_info) = %zu", (long long)info->struct_size, sizeof *info);
        return S2ATTN_ERROR_ARGUMENT;
    }
    int32_t code = ready();
    return code ? code : answered(core.query(plan, info));
}

int32_t s2attn_destroy(s2attn_plan plan) {
    if (plan == 0) {
        last_error[0] = 0;
        return S2ATTN_SUCCESS;
    }
    int32_t code = ready();
    return code ? code : answered(core.destroy(plan));
}

const char *s2attn_last_error(void) { return last_error; }

const char *s2attn_version(void) { return S2ATTN_VERSION; }

int32_t s2attn_abi_version(void) { return S2ATTN_ABI_VERSION; }

const char *s2attn_isa(void) {
    if (ready() != S2ATTN_SUCCESS) return "";
    leave();
    return isa;
}

/* ---- ONNX Runtime ---- */

/* What ONNX Runtime knows as a kernel. */
typedef struct {
    const struct OrtApi *api;
    void *managed;
} ort_kernel;

static struct OrtStatus *kernel_create(const ort_operator *op, const struct OrtApi *api, const void *info, void **created) {
    (void)op;
    ort_kernel *kernel = calloc(1, sizeof *kernel);
    if (kernel == NULL) return api->create_status(ORT_FAIL, "S2Attention: out of memory");
    kernel->api = api;
    struct OrtStatus *status;
    if (ready() == S2ATTN_SUCCESS) {
        status = core.kernel_create(api, info, &kernel->managed);
        leave();
    } else status = api->create_status(ORT_FAIL, last_error);
    if (status == NULL) *created = kernel;
    else free(kernel);
    return status;
}

static struct OrtStatus *kernel_compute(void *given, void *context) {
    ort_kernel *kernel = given;
    if (ready() != S2ATTN_SUCCESS) return kernel->api->create_status(ORT_FAIL, last_error);
    struct OrtStatus *status = core.kernel_compute(kernel->managed, context);
    leave();
    return status;
}

static void kernel_destroy(void *given) {
    ort_kernel *kernel = given;
    if (ready() == S2ATTN_SUCCESS) {
        core.kernel_destroy(kernel->managed);
        leave();
    }
    free(kernel);
}

static const char *op_name(const ort_operator *op) { return (void)op, "S2Attention"; }

static const char *op_provider(const ort_operator *op) { return (void)op, "CPUExecutionProvider"; }

static int op_input_type(const ort_operator *op, size_t index) { return index < ORT_VALID ? op->element : op->valid; }

static size_t op_inputs(const ort_operator *op) { return (void)op, ORT_INPUTS; }

static int op_output_type(const ort_operator *op, size_t index) { return index == 0 ? op->element : ORT_FLOAT; }

static size_t op_outputs(const ort_operator *op) { return (void)op, ORT_OUTPUTS; }

static int op_input_kind(const ort_operator *op, size_t index) { return (void)op, index < ORT_VALID ? ORT_REQUIRED : ORT_OPTIONAL; }

static int op_output_kind(const ort_operator *op, size_t index) { return (void)op, index == 0 ? ORT_REQUIRED : ORT_OPTIONAL; }

static int op_memory(const ort_operator *op, size_t index) { return (void)op, (void)index, 0; }

static int op_one(const ort_operator *op) { return (void)op, 1; }

static int op_last_version(const ort_operator *op) { return (void)op, INT32_MAX; }

#define OPERATOR(of_element, of_valid)                                                                                                                                          \
    {                                                                                                                                                                           \
        .GetName = op_name, .GetExecutionProviderType = op_provider, .GetInputType = op_input_type, .GetInputTypeCount = op_inputs, .GetOutputType = op_output_type,            \
        .GetOutputTypeCount = op_outputs, .KernelDestroy = kernel_destroy, .GetInputCharacteristic = op_input_kind, .GetOutputCharacteristic = op_output_kind,                  \
        .GetInputMemoryType = op_memory, .GetVariadicInputMinArity = op_one, .GetVariadicInputHomogeneity = op_one, .GetVariadicOutputMinArity = op_one,                        \
        .GetVariadicOutputHomogeneity = op_one, .CreateKernelV2 = kernel_create, .KernelComputeV2 = kernel_compute, .GetStartVersion = op_one, .GetEndVersion = op_last_version, \
        .element = of_element, .valid = of_valid                                                                                                                                \
    }

static ort_operator operators[] = {
    OPERATOR(ORT_FLOAT, ORT_BOOL),   OPERATOR(ORT_FLOAT, ORT_UINT8),    OPERATOR(ORT_FLOAT16, ORT_BOOL),
    OPERATOR(ORT_FLOAT16, ORT_UINT8), OPERATOR(ORT_BFLOAT16, ORT_BOOL), OPERATOR(ORT_BFLOAT16, ORT_UINT8),
};

struct OrtStatus *RegisterCustomOps(struct OrtSessionOptions *options, const struct OrtApiBase *api) {
    if (ready() == S2ATTN_SUCCESS) {
        struct OrtStatus *status = core.register_custom_ops(options, api, operators, sizeof operators / sizeof operators[0], sizeof operators[0]);
        leave();
        return status;
    }
    const struct OrtApi *ort = api ? api->get_api(FIRST_ORT_VERSION) : NULL;
    if (ort) return ort->create_status(ORT_FAIL, last_error);
    fprintf(stderr, "libs2attn: %s\n", last_error);
    return NULL;
}
