/* S2-Attn in C as a shared library, forward and backward: copy this file, put your own kernels into `forward_row` and `backward_row`, and run
 *
 *     cc -O2 -shared -fPIC -o libnative_port.so native_port.c -lm
 *     s2attn check --native ./libnative_port.so
 *
 * Everything is computed in double, row by row, and rounded once at the end. Needs C99 and nothing else.
 */
#include "s2attn_port.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *s2attn_port_describe(void) {
    /* Claim what you have: what is left out here is not tested. */
    return "{\"name\":\"c-rows\",\"version\":\"1.0\",\"language\":\"C\",\"capabilities\":{"
           "\"ops\":[\"forward\",\"backward\"],\"dtypes\":[\"f32\",\"f64\",\"bf16\"],"
           "\"masks\":[\"LocalCausal\",\"Split\",\"PositionCausal\",\"Bidirectional\",\"BidirectionalSplit\"],"
           "\"gqa\":true,\"padding\":true,\"oddGroup\":true,\"ragged\":true,\"grids\":true,\"prefixes\":true}}";
}

/* ---- Elements: bfloat16 is the upper half of a float. ---- */

static double load(const void *tensor, int dtype, int64_t i) {
    if (dtype == S2ATTN_F64) return ((const double *)tensor)[i];
    if (dtype == S2ATTN_F32) return ((const float *)tensor)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)tensor)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void store(void *tensor, int dtype, int64_t i, double value) {
    if (dtype == S2ATTN_F64) { ((double *)tensor)[i] = value; return; }
    if (dtype == S2ATTN_F32) { ((float *)tensor)[i] = (float)value; return; }
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    /* To nearest, ties to even; a NaN must not round up to infinity. */
    ((uint16_t *)tensor)[i] = isnan(narrow) ? 0x7FC0 : (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

/* ---- Which keys does a query see? ---- */

/* By which axes: those of the grid, or the one of a text. */
static int axes_of(const s2attn_case *c, s2attn_port_axis *text, const s2attn_port_axis **axes) {
    text->tokens = c->tokens, text->group_size = c->group_size, text->shift = c->shift;
    *axes = c->axis_count > 0 ? c->axes : text;
    return c->axis_count > 0 ? c->axis_count : 1;
}

static int in_group(const s2attn_case *c, int shifts, int t, int u) {
    s2attn_port_axis text;
    const s2attn_port_axis *axes;
    int same_group = 1, same_run = 1, position_order = 0, first = t, second = u; /* position_order < 0: u stands before t, compared from the slowest axis */
    for (int i = axes_of(c, &text, &axes) - 1; i >= 0; i--) {
        int n = axes[i].tokens, g = axes[i].group_size, s = shifts ? axes[i].shift : 0, ring = (n + g - 1) / g * g; /* N, rounded up to whole groups */
        int at = first % n, au = second % n, pt = (at - s + ring) % ring, pu = (au - s + ring) % ring;
        first /= n, second /= n;
        same_group = same_group && pt / g == pu / g;
        same_run = same_run && (at >= s) == (au >= s);
        if (pt != pu) position_order = pu < pt ? -1 : 1;
    }
    if (!same_group) return 0;
    switch (c->mask) {
    case S2ATTN_LOCAL_CAUSAL: return position_order <= 0;
    case S2ATTN_SPLIT: return same_run && u <= t;
    case S2ATTN_POSITION_CAUSAL: return u <= t;
    case S2ATTN_BIDIRECTIONAL: return 1;
    default: return same_run;
    }
}

/* The first tokens are keys of every query: those up to the query where the mask is causal and the prefix is not seen whole. */
static int in_prefix(const s2attn_case *c, int t, int u) {
    int ordered = c->mask <= S2ATTN_POSITION_CAUSAL && !c->prefix_whole;
    return u < c->prefix && (!ordered || u <= t);
}

static int visible(const s2attn_case *c, int shifts, int t, int u) { return in_group(c, shifts, t, u) || in_prefix(c, t, u); }

static int64_t query_at(const s2attn_case *c, int b, int t, int h) { return (((int64_t)b * c->tokens + t) * c->heads + h) * c->head_dim; }

static int64_t key_at(const s2attn_case *c, int b, int u, int h) {
    return (((int64_t)b * c->tokens + u) * c->kv_heads + h / (c->heads / c->kv_heads)) * c->head_dim;
}

/* The softmax of one row: keys and weights, and the logsumexp. Returns how many keys the row sees. */
static int softmax_row(const s2attn_case *c, int b, int t, int h, int *keys, double *weights, double *lse) {
    int count = 0;
    double top = -INFINITY, total = 0;
    for (int u = 0; u < c->tokens; u++) {
        /* What is masked is never read, so it may hold NaN. */
        if (!visible(c, c->shifted[h], t, u) || (c->valid && !c->valid[(int64_t)b * c->tokens + u])) continue;
        double dot = 0;
        for (int d = 0; d < c->head_dim; d++)
            dot += load(c->q, c->dtype, query_at(c, b, t, h) + d) * load(c->k, c->dtype, key_at(c, b, u, h) + d);
        keys[count] = u;
        weights[count] = c->scale * dot;
        if (!(weights[count] <= top)) top = weights[count]; /* NaN too */
        count++;
    }
    *lse = -INFINITY;
    if (top == -INFINITY) return 0; /* a row that sees no key */
    for (int i = 0; i < count; i++) total += weights[i] = exp(weights[i] - top);
    for (int i = 0; i < count; i++) weights[i] /= total;
    *lse = top + log(total);
    return count;
}

/* ---- The two passes. ---- */

static void forward_row(const s2attn_case *c, int b, int t, int h, int *keys, double *weights) {
    double lse;
    int count = softmax_row(c, b, t, h, keys, weights, &lse);
    for (int d = 0; d < c->head_dim; d++) {
        double sum = 0;
        for (int i = 0; i < count; i++) sum += weights[i] * load(c->v, c->dtype, key_at(c, b, keys[i], h) + d);
        store(c->o, c->dtype, query_at(c, b, t, h) + d, sum);
    }
    store(c->lse, c->dtype == S2ATTN_F64 ? S2ATTN_F64 : S2ATTN_F32, query_at(c, b, t, h) / c->head_dim, lse);
}

static void backward_row(const s2attn_case *c, int b, int t, int h, int *keys, double *weights, double *dweights, double *dq, double *dk, double *dv) {
    double lse, mean = 0;
    int count = softmax_row(c, b, t, h, keys, weights, &lse);
    int64_t q = query_at(c, b, t, h);
    for (int i = 0; i < count; i++) {
        dweights[i] = 0;
        for (int d = 0; d < c->head_dim; d++) dweights[i] += load(c->dout, c->dtype, q + d) * load(c->v, c->dtype, key_at(c, b, keys[i], h) + d);
        mean += weights[i] * dweights[i];
    }
    for (int i = 0; i < count; i++) {
        int64_t k = key_at(c, b, keys[i], h);
        double ds = c->scale * weights[i] * (dweights[i] - mean);
        for (int d = 0; d < c->head_dim; d++) {
            dq[q + d] += ds * load(c->k, c->dtype, k + d);
            dk[k + d] += ds * load(c->q, c->dtype, q + d); /* += : the query heads of a group share their kv head */
            dv[k + d] += weights[i] * load(c->dout, c->dtype, q + d);
        }
    }
}

static const char *message = "";

const char *s2attn_port_message(void) { return message; }

static int32_t run(const s2attn_case *c, int backward) {
    int64_t queries = (int64_t)c->batch * c->tokens * c->heads * c->head_dim, keys_total = (int64_t)c->batch * c->tokens * c->kv_heads * c->head_dim;
    int *keys = malloc((size_t)c->tokens * sizeof *keys);
    double *weights = malloc((size_t)c->tokens * 2 * sizeof *weights);
    double *sums = calloc((size_t)(backward ? queries + 2 * keys_total : 1), sizeof *sums);
    int32_t status = S2ATTN_OK;
    if (!keys || !weights || !sums) {
        message = "out of memory";
        status = S2ATTN_ERROR;
    } else if (c->dtype == S2ATTN_F16) {
        message = "f16";
        status = S2ATTN_UNSUPPORTED;
    } else {
        double *dq = sums, *dk = sums + queries, *dv = dk + keys_total;
        for (int b = 0; b < c->batch; b++)
            for (int t = 0; t < c->tokens; t++)
                for (int h = 0; h < c->heads; h++) {
                    if (backward) backward_row(c, b, t, h, keys, weights, weights + c->tokens, dq, dk, dv);
                    else forward_row(c, b, t, h, keys, weights);
                }
        for (int64_t i = 0; backward && i < queries; i++) store(c->dq, c->dtype, i, dq[i]);
        for (int64_t i = 0; backward && i < keys_total; i++) store(c->dk, c->dtype, i, dk[i]);
        for (int64_t i = 0; backward && i < keys_total; i++) store(c->dv, c->dtype, i, dv[i]);
    }
    free(keys);
    free(weights);
    free(sums);
    return status;
}

int32_t s2attn_port_forward(const s2attn_case *c) { return run(c, 0); }

int32_t s2attn_port_backward(const s2attn_case *c) { return run(c, 1); }
