/* A library that misbehaves in a way that the number of tokens chooses; for 32 tokens it answers zeros. */
#include "s2attn_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *s2attn_port_describe(void) {
    return "{\"name\":\"hostile\",\"capabilities\":{\"ops\":[\"forward\"],\"dtypes\":[\"f32\"],\"masks\":[\"Split\"],\"ragged\":true,\"strides\":[\"gapped\",\"written\"]}}";
}

const char *s2attn_port_message(void) { return "a reason"; }

int32_t s2attn_port_forward(const s2attn_case *c) {
    size_t bytes = (size_t)c->batch * (size_t)c->tokens * (size_t)c->heads * (size_t)c->head_dim * sizeof(float);
    volatile int *volatile nowhere = NULL; /* twice volatile, or the compiler drops the store */
    printf("this is not the protocol\n");
    fflush(stdout);
    if (c->o_strides) { /* rows, and what stands between the first two */
        for (int t = 0; t < c->tokens; t++) memset((float *)c->o + t * c->o_strides[1], 0, sizeof(float) * (size_t)c->head_dim);
        if (c->tokens == 15) ((float *)c->o)[c->head_dim] = 0;
        return S2ATTN_OK;
    }
    if (c->tokens != 5) memset(c->o, 0, bytes);
    switch (c->tokens) {
    case 4: *nowhere = 1; break;
    case 6: memset((char *)c->o + bytes, 0, 4); break;
    case 7: ((char *)c->lse)[-1] = 0; break;
    case 8: memset((void *)c->q, 0, 4); break;
    case 9: return S2ATTN_UNSUPPORTED;
    case 10: return S2ATTN_ERROR;
    case 11: return 77;
    case 12: abort();
    case 13: exit(0);
    case 14: for (;;) { }
    default: break;
    }
    return S2ATTN_OK;
}
