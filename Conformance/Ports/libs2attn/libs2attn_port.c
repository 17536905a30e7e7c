/* How is libs2attn asked by the suite? As any other C library:
 *
 *     cc -O2 -shared -fPIC -I PREFIX/include -o liblibs2attn_port.so libs2attn_port.c -L PREFIX/lib -ls2attn
 *     s2attn check --native ./liblibs2attn_port.so
 */
#include "../c/s2attn_port.h"

#include <s2attn.h>
#include <stdlib.h>

static const char *message = "";

const char *s2attn_port_describe(void) {
    return "{\"name\":\"libs2attn\",\"version\":\"0.1.0\",\"language\":\"C\",\"capabilities\":{"
           "\"ops\":[\"forward\",\"backward\"],\"dtypes\":[\"f32\",\"f16\",\"bf16\"],"
           "\"masks\":[\"LocalCausal\",\"Split\",\"PositionCausal\",\"Bidirectional\",\"BidirectionalSplit\"],"
           "\"gqa\":true,\"padding\":true,\"oddGroup\":true,\"ragged\":true,"
           "\"prefixes\":true,\"slice\":true,\"lseGradient\":true,\"layouts\":[\"BNHD\",\"BHND\"],\"packed\":true,\"strides\":[\"gapped\",\"negative\",\"broadcast\",\"written\"]}}";
}

const char *s2attn_port_message(void) { return message; }

static int32_t answer(int32_t code) {
    message = s2attn_last_error();
    return code == S2ATTN_SUCCESS ? S2ATTN_OK : code == S2ATTN_ERROR_UNSUPPORTED ? S2ATTN_UNSUPPORTED : S2ATTN_ERROR;
}

static int32_t plan_of(const s2attn_case *c, s2attn_plan *plan) {
    static const int32_t types[] = {S2ATTN_DTYPE_F32, 0, S2ATTN_DTYPE_F16, S2ATTN_DTYPE_BF16};
    s2attn_config config;
    s2attn_config_init(&config, sizeof config);
    config.batch = c->batch;
    config.tokens = c->tokens;
    config.heads = c->heads;
    config.kv_heads = c->kv_heads;
    config.head_dim = c->head_dim;
    config.group_size = c->group_size;
    config.shift = c->shift;
    config.scale = c->scale;
    config.dtype = config.gradient_dtype = types[c->dtype];
    config.mask = c->mask + 1;
    config.shifted_heads = S2ATTN_HEADS_FLAGS;
    config.shifted = c->shifted;
    config.prefix = c->prefix + (c->prefix_whole ? S2ATTN_PREFIX_WHOLE : 0);
    config.layout = c->layout ? S2ATTN_LAYOUT_BHND : S2ATTN_LAYOUT_BNHD;
    config.query_strides = (const s2attn_strides *)c->q_strides;
    config.key_strides = (const s2attn_strides *)c->k_strides;
    config.value_strides = (const s2attn_strides *)c->v_strides;
    config.output_strides = (const s2attn_strides *)c->o_strides;
    config.lse_strides = (const s2attn_strides *)c->lse_strides;
    config.output_gradient_strides = (const s2attn_strides *)c->dout_strides;
    config.query_gradient_strides = (const s2attn_strides *)c->dq_strides;
    config.key_gradient_strides = (const s2attn_strides *)c->dk_strides;
    config.value_gradient_strides = (const s2attn_strides *)c->dv_strides;
    if (c->is_slice) {
        s2attn_slice slice = {sizeof slice, c->first_query, c->end_query, c->first_key, c->end_key, c->is_unbounded, 0};
        return s2attn_create_slice(&config, &slice, plan);
    }
    return c->sequences ? s2attn_create_varlen(&config, c->cu_seqlens, c->sequences + 1, S2ATTN_INDEX_I32, plan) : s2attn_create(&config, plan);
}

int32_t s2attn_port_forward(const s2attn_case *c) {
    s2attn_plan plan;
    int32_t code = plan_of(c, &plan);
    if (code == S2ATTN_SUCCESS) code = s2attn_forward(plan, c->q, c->k, c->v, c->valid, c->o, c->lse);
    code = answer(code);
    return code == S2ATTN_OK ? answer(s2attn_destroy(plan)) : code;
}

int32_t s2attn_port_backward(const s2attn_case *c) {
    static const size_t sizes[] = {4, 8, 2, 2};
    size_t rows = (size_t)c->batch * (c->end_query - c->first_query) * c->heads;
    void *o = malloc(rows * c->head_dim * sizes[c->dtype]);
    float *lse = malloc(rows * sizeof *lse);
    s2attn_plan plan;
    int32_t code = o && lse ? plan_of(c, &plan) : S2ATTN_ERROR_MEMORY;
    if (code == S2ATTN_SUCCESS) code = s2attn_forward(plan, c->q, c->k, c->v, c->valid, o, lse);
    if (code == S2ATTN_SUCCESS) code = s2attn_backward(plan, c->q, c->k, c->v, c->valid, o, lse, c->dout, c->dlse, c->dq, c->dk, c->dv);
    code = answer(code);
    free(o);
    free(lse);
    return code == S2ATTN_OK ? answer(s2attn_destroy(plan)) : code;
}
