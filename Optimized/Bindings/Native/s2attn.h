/* How is Shifted Sparse Attention (S2-Attn of LongLoRA, arXiv 2309.12307) called from C, or from anything that can call C?
 *
 *     s2attn_config config;
 *     s2attn_config_init(&config, sizeof config);
 *     config.batch = 1, config.tokens = 8192, config.heads = 8, config.head_dim = 128;
 *     config.dtype = S2ATTN_DTYPE_F32, config.mask = S2ATTN_MASK_LOCAL_CAUSAL, config.group_size = 2048;
 *     s2attn_plan plan;
 *     if (s2attn_create(&config, &plan) || s2attn_forward(plan, q, k, v, NULL, o, NULL))
 *         fprintf(stderr, "%s\n", s2attn_last_error());
 *     s2attn_destroy(plan);
 *
 * Every function that can fail returns one of S2ATTN_SUCCESS and S2ATTN_ERROR_*, and then s2attn_last_error() names the argument, its value and the
 * rule. Nothing is thrown or aborted across this border. Everything is checked before anything is written, with extents in 64 bits; what cannot be
 * checked from here is that the pointers reach as far as shape and strides say.
 *
 * Threads: any thread may call anything. A plan serves one call at a time; a second one is answered with S2ATTN_ERROR_BUSY. Results are the same bits for
 * any number of threads. fork(): a child may go on with plans of its parent and make new ones, whatever threads its parent had. Calls of other threads are
 * waited for; only where one lasts longer than five seconds, every call of the child is S2ATTN_ERROR_FORK, as it is in one that _Fork() or clone() made.
 *
 * Struct growth: a struct begins with its size as the caller was compiled. Later versions append fields and keep the meaning of what is there.
 */
#ifndef S2ATTN_H
#define S2ATTN_H

#include <stdint.h>

#if defined(__GNUC__)
#define S2ATTN_API __attribute__((visibility("default")))
#else
#define S2ATTN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this contract; s2attn_abi_version() is that of the library. A library serves every contract of its own version and below. */
#define S2ATTN_ABI_VERSION 1

/* Results. */
enum {
    S2ATTN_SUCCESS = 0,
    S2ATTN_ERROR_ARGUMENT = 1,    /* an argument is null, out of range, or contradicts another; nothing was written */
    S2ATTN_ERROR_UNSUPPORTED = 2, /* well-formed, but this library or processor cannot do it; nothing was written */
    S2ATTN_ERROR_HANDLE = 3,      /* the plan or cache is unknown or was destroyed */
    S2ATTN_ERROR_BUSY = 4,        /* another call on this plan or cache is under way */
    S2ATTN_ERROR_FORK = 5,        /* this process was forked in the midst of a call of another thread, or by _Fork or clone: the library cannot be used in it */
    S2ATTN_ERROR_MEMORY = 6,      /* out of memory */
    S2ATTN_ERROR_INTERNAL = 7,    /* a defect of the library: please report the message */
    S2ATTN_ERROR_LIBRARY = 8      /* the library of this processor's level could not be opened, or S2ATTN_ISA names none */
};

/* Storage of elements; arithmetic is in f32. 0 is no type: it has to be chosen. */
enum { S2ATTN_DTYPE_F32 = 1, S2ATTN_DTYPE_F16 = 2, S2ATTN_DTYPE_BF16 = 3 };

/* May query t see key u? position(t) = (t - S) mod N, group(t) = position(t) / G, run(t) = t >= S; S = 0 for heads that do not shift.
 * 0 is no mask: the choice is the one that ports hide and get wrong, so it has no default. */
enum {
    S2ATTN_MASK_LOCAL_CAUSAL = 1,       /* same group and position(u) <= position(t): LongLoRA's eager code; sees the future on the wrapped run */
    S2ATTN_MASK_SPLIT = 2,              /* same group, same run and u <= t: LongLoRA's flash-attention code */
    S2ATTN_MASK_POSITION_CAUSAL = 3,    /* same group and u <= t */
    S2ATTN_MASK_BIDIRECTIONAL = 4,      /* same group */
    S2ATTN_MASK_BIDIRECTIONAL_SPLIT = 5 /* same group and same run */
};

/* How G is chosen. */
enum {
    S2ATTN_GROUP_EXPLICIT = 0, /* config.group_size */
    S2ATTN_GROUP_RATIO = 1,    /* int(N * config.group_ratio), which must divide N: LongLoRA with 0.25 */
    S2ATTN_GROUP_SFT = 2       /* LongLoRA's rule for supervised fine-tuning */
};

/* Which query heads shift. */
enum {
    S2ATTN_HEADS_SECOND_HALF = 0, /* h >= H / 2 */
    S2ATTN_HEADS_NONE = 1,
    S2ATTN_HEADS_ALL = 2,
    S2ATTN_HEADS_FLAGS = 3, /* config.shifted[h] != 0 */
    S2ATTN_HEADS_SHIFTS = 4 /* config.shifts[h]: a shift for each query head, 0 <= S < G. P phases: G * ((P * (h + 1) - 1) / H) / P */
};

/* The order of dimensions of a dense tensor, for those whose strides are not given. */
enum { S2ATTN_LAYOUT_BNHD = 0, S2ATTN_LAYOUT_BHND = 1 };

/* Elements of cu_seqlens. */
enum { S2ATTN_INDEX_I32 = 0, S2ATTN_INDEX_I64 = 1 };

#define S2ATTN_DEFAULT_SHIFT (-1) /* config.shift: the rule's, G / 2 rounded down */

/* In elements. Row (b, t, h) of D contiguous elements begins at data + b batch + t token + h head. What is read may have strides that are zero or
 * negative (data points at row (0,0,0)); what is written may not share an element with anything. */
typedef struct s2attn_strides {
    int64_t batch, token, head;
} s2attn_strides;

/* A configuration. Begin with s2attn_config_init; what is 0 or NULL after it and not named "required" may stay so. */
typedef struct s2attn_config {
    int64_t struct_size; /* sizeof(s2attn_config) */
    int64_t batch;       /* B, required; 1 for packed sequences */
    int64_t tokens;      /* N, required; for packed sequences all tokens T */
    int64_t heads;       /* H, required: query heads */
    int64_t kv_heads;    /* K, divides H; query head h reads kv head h / (H / K). 0: H */
    int64_t head_dim;    /* D, required */
    int64_t value_dim;   /* D of v, o and their gradients. 0: D; another one may be unsupported */
    int64_t group_size;  /* G, required where group_rule is S2ATTN_GROUP_EXPLICIT */
    double group_ratio;  /* where group_rule is S2ATTN_GROUP_RATIO */
    int64_t shift;       /* S, 0 <= S < G, or S2ATTN_DEFAULT_SHIFT, which s2attn_config_init sets */
    double scale;        /* factor of q.k. NaN, which s2attn_config_init sets: 1 / sqrt(D) */
    int32_t dtype;          /* S2ATTN_DTYPE_*, required: of q, k, v, o and their gradients; lse is f32 */
    int32_t gradient_dtype; /* S2ATTN_DTYPE_F32 or the value of dtype: of dq, dk, dv. 0: f32 */
    int32_t mask;           /* S2ATTN_MASK_*, required */
    int32_t group_rule;     /* S2ATTN_GROUP_* */
    int32_t shifted_heads;  /* S2ATTN_HEADS_* */
    int32_t layout;         /* S2ATTN_LAYOUT_* of the tensors whose strides are NULL below */
    int32_t threads;        /* workers of a call. 0: the processors of the machine */
    int32_t prefix;         /* P, 0 <= P <= N and below 2^30: the first P tokens, of each packed sequence its own, are keys of every query beside what the mask shows. Under a causal mask a
                               query sees none of them that comes after it (attention sinks), unless S2ATTN_PREFIX_WHOLE is added. 0: no prefix */
    union {
        const uint8_t *shifted; /* [H] where shifted_heads is S2ATTN_HEADS_FLAGS; copied, like everything below */
        const int64_t *shifts;  /* [H] where shifted_heads is S2ATTN_HEADS_SHIFTS; shift is then S2ATTN_DEFAULT_SHIFT or the largest of them */
    };

    /* Strides; NULL: dense in the layout. A packed batch has batch stride 0 or any. */
    const s2attn_strides *query_strides;           /* q  [B,N,H,D] */
    const s2attn_strides *key_strides;             /* k  [B,N,K,D] */
    const s2attn_strides *value_strides;           /* v  [B,N,K,D] */
    const s2attn_strides *output_strides;          /* o  [B,N,H,D] */
    const s2attn_strides *lse_strides;             /* lse and dlse [B,N,H], one element a row; NULL: dense [B,N,H] whatever the layout. [B,H,N]: {H N, 1, N} */
    const s2attn_strides *output_gradient_strides; /* do; NULL: those of o */
    const s2attn_strides *query_gradient_strides;  /* dq; NULL: dense in the layout */
    const s2attn_strides *key_gradient_strides;    /* dk; NULL: dense in the layout */
    const s2attn_strides *value_gradient_strides;  /* dv; NULL: dense in the layout */
} s2attn_config;

/* Which part of a sequence: queries [first_query, end_query) with the keys [first_key, end_key) that are there for them, all counted from the start of the sequence.
 * Every key that a query sees must be there: with a prefix those from 0 on. q, do, o, lse, dlse and dq then have end_query - first_query tokens, k, v, valid, dk and dv have end_key - first_key. */
typedef struct s2attn_slice {
    int64_t struct_size; /* sizeof(s2attn_slice) */
    int64_t first_query, end_query;
    int64_t first_key, end_key; /* S2ATTN_NEEDED: the first and the last one that a query of the slice sees */
    int32_t is_unbounded;       /* not 0: the text may still grow, which S2ATTN_MASK_SPLIT allows. config.tokens says nothing then; give any that suits group_size and prefix */
    int32_t reserved;           /* 0 */
} s2attn_slice;

#define S2ATTN_PREFIX_WHOLE (1 << 30) /* config.prefix = P + S2ATTN_PREFIX_WHOLE: the prefix is seen whole, also by its own tokens, as an image in front of a text */

#define S2ATTN_NEEDED (-1) /* slice.first_key, slice.end_key */

/* One axis of a grid of tokens: rows or columns of an image, frames of a video. */
typedef struct s2attn_axis {
    int64_t tokens;     /* N of the axis */
    int64_t group_size; /* G, 1 <= G <= N; divides N unless the mask is one of the split ones */
    int64_t shift;      /* S, 0 <= S < G, of the heads that shift; or S2ATTN_DEFAULT_SHIFT: G / 2 rounded down */
} s2attn_axis;

/* A plan: never 0, never reused. */
typedef uint64_t s2attn_plan;

/* What a plan resolved and needs. */
typedef struct s2attn_info {
    int64_t struct_size;                /* in: sizeof(s2attn_info) */
    int64_t group_size;                 /* G; of a grid N */
    int64_t shift;                      /* S of the heads that shift, the largest where each has its own */
    double scale;                       /* factor of q.k */
    int64_t workspace_bytes_per_thread; /* scratch memory, owned by the plan and independent of N */
    int64_t workspace_bytes;            /* of all threads, and of gradients that are rounded to a half format */
    int32_t threads;                    /* workers of a call */
    int32_t vector_bits;                /* register width in use: 128, 256 or 512 */
} s2attn_info;

/* Sets every field to its default; struct_size is sizeof(s2attn_config). */
S2ATTN_API int32_t s2attn_config_init(s2attn_config *config, int64_t struct_size);

/* Plans a configuration. *plan is 0 where the result is not S2ATTN_SUCCESS. */
S2ATTN_API int32_t s2attn_create(const s2attn_config *config, s2attn_plan *plan);

/* Plans packed sequences: cu_seqlens holds count values 0, end of the first sequence, ..., config.tokens. config.batch must be 1. */
S2ATTN_API int32_t s2attn_create_varlen(const s2attn_config *config, const void *cu_seqlens, int64_t count, int32_t index_type, s2attn_plan *plan);

/* Plans a part of a sequence: fewer queries than keys, a chunk of a prompt, or the share of one machine. dk and dv are this slice's shares: over slices that make up
 * the sequence they add up to the whole's. o, lse and dq have the bits of the whole. */
S2ATTN_API int32_t s2attn_create_slice(const s2attn_config *config, const s2attn_slice *slice, s2attn_plan *plan);

/* Plans tokens on one to three axes, the slowest first: two tokens are of one group, or of one run, where they are so on every axis, and causal masks order them in raster order. With
 * S2ATTN_MASK_BIDIRECTIONAL_SPLIT over two axes these are the shifted windows of Swin, over three those of Video Swin. config.tokens is the product of the axes, and config.group_size
 * and config.shift stay as s2attn_config_init left them. The plan keeps 4 bytes for each token, and as much again where some heads shift and some do not. */
S2ATTN_API int32_t s2attn_create_grid(const s2attn_config *config, const s2attn_axis *axes, int64_t count, s2attn_plan *plan);

/* Sets first_key and end_key to the shortest range that holds every key that the slice's queries see, in any head. */
S2ATTN_API int32_t s2attn_slice_keys(const s2attn_config *config, s2attn_slice *slice);

/* o = S2-Attn(q, k, v). valid [B,N], dense: 0 for a padded key; NULL where no key is padded. lse: NULL where it is not wanted (backward needs it).
 * A row that sees no key is 0 in o and -infinity in lse; what is masked is never read. */
S2ATTN_API int32_t s2attn_forward(s2attn_plan plan, const void *q, const void *k, const void *v, const uint8_t *valid, void *o, float *lse);

/* dq, dk, dv from what forward read and wrote, and from do. dlse [B,N,H], the gradient of lse, with its strides: NULL where lse was not used. */
S2ATTN_API int32_t s2attn_backward(s2attn_plan plan, const void *q, const void *k, const void *v, const uint8_t *valid, const void *o, const float *lse,
                                   const void *output_gradient, const float *dlse, void *dq, void *dk, void *dv);

/* What the plan resolved, and its workspace. */
S2ATTN_API int32_t s2attn_query(s2attn_plan plan, s2attn_info *info);

/* Frees the plan and joins its threads. S2ATTN_ERROR_BUSY, and nothing happens, while a call is under way; 0 is let pass. */
S2ATTN_API int32_t s2attn_destroy(s2attn_plan plan);

/* ---- Keys and values of the past, for text that is generated, or read in chunks ----
 *
 *     s2attn_cache_create(&config, 1, 512, &cache);
 *     s2attn_cache_append(cache, 0, tokens, k, v), s2attn_cache_attend(cache, 0, tokens, q, o, NULL);      the prompt, in chunks of at most 512
 *     s2attn_cache_append(cache, 0, 1, k, v), s2attn_cache_attend(cache, 0, 1, q, o, NULL);                each new token
 *
 * Under S2ATTN_MASK_SPLIT alone what a query sees does not depend on how long the text gets. At most G + max_chunk tokens of a sequence are kept, and its prefix, however long it gets; G of the
 * longest text with shift 0 is causal attention to everything. A cache serves one call at a time, as a plan does. */
typedef uint64_t s2attn_cache;

#define S2ATTN_ALL_SEQUENCES (-1)

/* What a cache holds of a sequence. */
typedef struct s2attn_cache_info {
    int64_t struct_size; /* in: sizeof(s2attn_cache_info) */
    int64_t length;      /* tokens that were appended */
    int64_t first_key;   /* the first key that the next query sees, or any after it: those before are dead, but for a prefix */
    int64_t max_rows;    /* the most tokens that are kept: P + G + max_chunk */
    int64_t bytes;       /* of keys and values, of all sequences: what memory is held for */
} s2attn_cache_info;

/* An empty cache of several sequences, each with a length of its own. config.batch and config.tokens say nothing; give any that suit group_size and prefix. Tensors are dense, [B,N,H,D]. */
S2ATTN_API int32_t s2attn_cache_create(const s2attn_config *config, int64_t sequences, int64_t max_chunk, s2attn_cache *cache);

/* Appends keys and values [tokens,K,D] to one sequence, or [sequences,tokens,K,D] to all. */
S2ATTN_API int32_t s2attn_cache_append(s2attn_cache cache, int64_t sequence, int64_t tokens, const void *k, const void *v);

/* Attends the queries [tokens,H,D] of the last tokens of one sequence, at most max_chunk, or [sequences,tokens,H,D] of all. lse [..,tokens,H]: NULL where it is not wanted. */
S2ATTN_API int32_t s2attn_cache_attend(s2attn_cache cache, int64_t sequence, int64_t tokens, const void *q, void *o, float *lse);

/* Forgets the tokens of one sequence, or of all; their memory stays. */
S2ATTN_API int32_t s2attn_cache_reset(s2attn_cache cache, int64_t sequence);

/* What the cache holds of a sequence. */
S2ATTN_API int32_t s2attn_cache_query(s2attn_cache cache, int64_t sequence, s2attn_cache_info *info);

/* Frees the cache, as s2attn_destroy does a plan. */
S2ATTN_API int32_t s2attn_cache_destroy(s2attn_cache cache);

/* Why the last call of this thread that returned a code did not return S2ATTN_SUCCESS; "" where it did. Valid until the thread's next call. Never NULL. */
S2ATTN_API const char *s2attn_last_error(void);

/* The library's version, as "0.1.0". Never NULL. */
S2ATTN_API const char *s2attn_version(void);

/* The contract that the library serves. */
S2ATTN_API int32_t s2attn_abi_version(void);

/* The instruction set in use: "x86-64-v4", "x86-64-v3", "x86-64-v2" or "arm64". It is the widest that the processor has, or what the environment
 * variable S2ATTN_ISA names. "" where none can be used: s2attn_last_error() says why. */
S2ATTN_API const char *s2attn_isa(void);

/* What ONNX Runtime calls when this library is registered with a session: adds the operator s2attn::S2Attention. Returns an OrtStatus. */
struct OrtSessionOptions;
struct OrtApiBase;
struct OrtStatus;
S2ATTN_API struct OrtStatus *RegisterCustomOps(struct OrtSessionOptions *options, const struct OrtApiBase *api);

#ifdef __cplusplus
}
#endif
#endif
