/* How does s2attn call an implementation in a shared library?
 *
 *     s2attn check --native ./libmyport.so
 *
 * Export s2attn_port_describe and s2attn_port_forward, and s2attn_port_backward if you have gradients. The library is loaded into a process of
 * its own, so a crash costs one case. All tensors are dense, row-major and aligned to 64 bytes, unless the port declares more. Do not free or keep any pointer. What you
 * print on stdout goes to the log. Calls come one at a time, from one thread.
 */
#ifndef S2ATTN_PORT_H
#define S2ATTN_PORT_H

#include <stdint.h>

#if defined(_WIN32)
#define S2ATTN_EXPORT __declspec(dllexport)
#else
#define S2ATTN_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum s2attn_dtype { S2ATTN_F32 = 0, S2ATTN_F64 = 1, S2ATTN_F16 = 2, S2ATTN_BF16 = 3 };

/* May query t see key u? position(t) = (t - S) mod N, group(t) = position(t) / G, run(t) = t >= S; S = 0 for heads that do not shift. */
enum s2attn_mask {
    S2ATTN_LOCAL_CAUSAL = 0,       /* same group and position(u) <= position(t) */
    S2ATTN_SPLIT = 1,              /* same group, same run and u <= t */
    S2ATTN_POSITION_CAUSAL = 2,    /* same group and u <= t */
    S2ATTN_BIDIRECTIONAL = 3,      /* same group */
    S2ATTN_BIDIRECTIONAL_SPLIT = 4 /* same group and same run */
};

enum s2attn_status { S2ATTN_OK = 0, S2ATTN_UNSUPPORTED = 1, S2ATTN_ERROR = 2 };

/* One axis of a grid of tokens: two tokens are of one group, or of one run, where they are so on every axis. */
typedef struct s2attn_port_axis {
    int32_t tokens;     /* N of the axis */
    int32_t group_size; /* G */
    int32_t shift;      /* S, for the heads that shift */
} s2attn_port_axis;

/* One case. Tensors hold elements of dtype, but for valid and lse. */
typedef struct s2attn_case {
    int32_t struct_size; /* bytes of this struct; later versions append fields */
    int32_t dtype;       /* enum s2attn_dtype */
    int32_t mask;        /* enum s2attn_mask */
    int32_t batch;       /* B */
    int32_t tokens;      /* N */
    int32_t heads;       /* H, query heads */
    int32_t kv_heads;    /* K, divides H; query head h reads kv head h / (H / K) */
    int32_t head_dim;    /* D */
    int32_t group_size;  /* G */
    int32_t shift;       /* S, for the heads that shift */
    double scale;        /* the factor of q.k */

    const uint8_t *shifted; /* [H], 1 = this query head shifts */
    const uint8_t *valid;   /* [B,N], 1 = real key, 0 = padded; NULL where nothing is padded */
    const void *q;          /* [B,N,H,D] */
    const void *k;          /* [B,N,K,D] */
    const void *v;          /* [B,N,K,D] */
    const void *dout;       /* [B,N,H,D], the gradient of o; NULL in forward */

    void *o;   /* [B,N,H,D], written by forward; a row that sees no key is 0 */
    void *lse; /* [B,N,H], double where dtype is F64, else float; -infinity for a row that sees no key. Leave it untouched to leave it out. */
    void *dq;  /* [B,N,H,D], written by backward */
    void *dk;  /* [B,N,K,D], written by backward */
    void *dv;  /* [B,N,K,D], written by backward */

    /* All that follows is 0 or NULL unless the port declares "layouts", "packed" or "strides". */
    int32_t layout;           /* 0: [B,N,H,D]; 1: [B,H,N,D] for all but valid and lse */
    int32_t sequences;        /* sequences of a packed batch; 0: it is none */
    const int32_t *cu_seqlens; /* [sequences + 1]: 0, the end of the first sequence, ..., N; B is 1 */

    /* Strides {b, t, h} in elements of a tensor that is not dense; its pointer points at element (0,0,0,0). Elements between rows are no one's. */
    const int64_t *q_strides;
    const int64_t *k_strides;
    const int64_t *v_strides;
    const int64_t *dout_strides;
    const int64_t *o_strides;
    const int64_t *lse_strides;
    const int64_t *dq_strides;
    const int64_t *dk_strides;
    const int64_t *dv_strides;

    /* Where is_slice: queries [first_query, end_query) with keys [first_key, end_key), all counted from the start of the sequence. The N of q, do, dlse, o, lse and dq is then
     * the number of queries, that of k, v, valid, dk and dv the number of keys; dk and dv are this slice's shares. Set for the whole too. Only for ports that declare "slice". */
    int32_t is_slice;
    int32_t is_unbounded; /* the text may still grow: tokens says nothing, and the mask is S2ATTN_SPLIT */
    int32_t first_query, end_query;
    int32_t first_key, end_key;
    const void *dlse; /* [B,N,H] as lse, the gradient of lse; NULL where it has none. Only for ports that declare "lseGradient". */

    /* The axes on which the tokens stand, the slowest first; tokens stand in raster order, the last axis fastest. Causal masks order them so too, S2ATTN_LOCAL_CAUSAL by their
     * shifted positions, compared axis by axis. group_size is then N and shift 0, and they say nothing. 0 and NULL for a text. Only for ports that declare "grids". */
    const s2attn_port_axis *axes;
    int32_t axis_count;

    /* The first prefix tokens, of each packed sequence its own, are keys of every query beside what the mask shows, each key once. Under a causal mask a query sees none of them that
     * comes after it, unless prefix_whole is 1. 0: there are none. Only for ports that declare "prefixes", and never beside axes. */
    int32_t prefix;
    int32_t prefix_whole;
} s2attn_case;

/* JSON: {"name":"...","version":"...","language":"C","capabilities":{...}}, as the answer to describe in docs/port-protocol.md. */
S2ATTN_EXPORT const char *s2attn_port_describe(void);

/* Each returns an enum s2attn_status. */
S2ATTN_EXPORT int32_t s2attn_port_forward(const s2attn_case *c);
S2ATTN_EXPORT int32_t s2attn_port_backward(const s2attn_case *c);

/* Optional: why the last call did not return S2ATTN_OK. */
S2ATTN_EXPORT const char *s2attn_port_message(void);

#ifdef __cplusplus
}
#endif
#endif
