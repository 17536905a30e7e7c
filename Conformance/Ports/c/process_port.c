/* A C program that speaks the port protocol itself, for code that cannot be a shared library. It calls the functions of native_port.c:
 *
 *     cc -O2 -o process_port process_port.c native_port.c -lm
 *     s2attn check --port ./process_port
 *
 * The reading of JSON below is just enough for what the suite sends: keys are looked for by name, and strings hold no escapes that matter but \" and \\.
 */
#include "s2attn_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON: the text behind "name":, or NULL. ---- */

static const char *field(const char *json, const char *name) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    for (const char *at = json; (at = strstr(at, quoted)) != NULL; at++) {
        const char *value = at + strlen(quoted);
        while (*value == ' ') value++;
        if (*value == ':') {
            value++;
            while (*value == ' ') value++;
            return value;
        }
    }
    return NULL;
}

static double number(const char *json, const char *name) {
    const char *value = field(json, name);
    return value ? strtod(value, NULL) : 0;
}

static void text(const char *json, const char *name, char *out, size_t size) {
    const char *value = field(json, name);
    size_t length = 0;
    if (value && *value == '"')
        for (value++; *value && *value != '"' && length + 1 < size; value++) {
            if (*value == '\\' && value[1]) value++;
            out[length++] = *value;
        }
    out[length] = '\0';
}

static int index_of(const char *word, const char *const *words, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0) return i;
    return -1;
}

/* ---- .safetensors: 8 bytes of header length, a JSON header, the tensors. ---- */

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *content = malloc(*size + 1);
    if (content && fread(content, 1, *size, file) != *size) {
        free(content);
        content = NULL;
    }
    if (content) content[*size] = '\0';
    fclose(file);
    return content;
}

/* A copy of one tensor, because malloc aligns it and the file may not; NULL where the file has none of that name. */
static void *tensor(const char *content, const char *name) {
    uint64_t header;
    memcpy(&header, content, sizeof header);
    const char *json = content + 8, *entry = field(json, name);
    if (!entry || entry >= json + header) return NULL;
    const char *offsets = field(entry, "data_offsets");
    char *next;
    size_t begin = strtoull(offsets + 1, &next, 10), end = strtoull(next + 1, NULL, 10);
    void *copy = malloc(end - begin + 1);
    return copy ? memcpy(copy, json + header + begin, end - begin) : NULL;
}

typedef struct output {
    const char *name, *dtype;
    void *data;
    int shape[4], rank;
    size_t bytes;
} output;

static int write_file(const char *path, const output *outputs, int count) {
    char header[2048] = "{";
    size_t used = 1, offset = 0;
    for (int i = 0; i < count; i++) {
        const output *o = &outputs[i];
        used += (size_t)snprintf(header + used, sizeof header - used, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", o->name, o->dtype);
        for (int d = 0; d < o->rank; d++) used += (size_t)snprintf(header + used, sizeof header - used, "%s%d", d ? "," : "", o->shape[d]);
        used += (size_t)snprintf(header + used, sizeof header - used, "],\"data_offsets\":[%zu,%zu]}", offset, offset + o->bytes);
        offset += o->bytes;
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    FILE *file = fopen(path, "wb");
    if (!file) return 0;
    uint64_t length = used;
    int ok = fwrite(&length, sizeof length, 1, file) == 1 && fwrite(header, 1, used, file) == used;
    for (int i = 0; i < count; i++) ok = ok && fwrite(outputs[i].data, 1, outputs[i].bytes, file) == outputs[i].bytes;
    return fclose(file) == 0 && ok;
}

/* "axes":[{"tokens":..,"groupSize":..,"shift":..},...]: how many there are; 0 where the tokens are a text, -1 where they are too many. What they say stands behind what the
 * configuration says of the same name, so that a search from the start of the request finds that of the configuration. */
static int axes_of_request(const char *request, s2attn_port_axis *axes, int room) {
    const char *list = field(request, "axes"), *end = list ? strchr(list, ']') : NULL;
    int count = 0;
    for (const char *axis = list ? strchr(list, '{') : NULL; axis && axis < end; axis = strchr(axis + 1, '{')) {
        if (count == room) return -1;
        axes[count].tokens = (int32_t)number(axis, "tokens");
        axes[count].group_size = (int32_t)number(axis, "groupSize");
        axes[count].shift = (int32_t)number(axis, "shift");
        count++;
    }
    return count;
}

/* ---- One case. Returns an enum s2attn_status; *reason says more. ---- */

static int32_t run(const char *request, int backward, const char **reason) {
    static const char *const dtypes[] = {"f32", "f64", "f16", "bf16"}, *const names[] = {"F32", "F64", "F16", "BF16"};
    static const char *const masks[] = {"LocalCausal", "Split", "PositionCausal", "Bidirectional", "BidirectionalSplit"};
    static const size_t sizes[] = {4, 8, 2, 2};
    char inputs[4096], outputs[4096], word[64];
    s2attn_case c = {.struct_size = sizeof c};
    text(request, "inputs", inputs, sizeof inputs);
    text(request, "outputs", outputs, sizeof outputs);
    text(request, "dtype", word, sizeof word);
    c.dtype = index_of(word, dtypes, 4);
    text(request, "mask", word, sizeof word);
    c.mask = index_of(word, masks, 5);
    c.batch = (int32_t)number(request, "batch");
    c.tokens = (int32_t)number(request, "tokens");
    c.heads = (int32_t)number(request, "heads");
    c.kv_heads = (int32_t)number(request, "kvHeads");
    c.head_dim = (int32_t)number(request, "headDim");
    c.group_size = (int32_t)number(request, "groupSize");
    c.shift = (int32_t)number(request, "shift");
    c.scale = number(request, "scale");
    c.prefix = (int32_t)number(request, "prefix");
    const char *whole = field(request, "prefixWhole");
    c.prefix_whole = whole && *whole == 't';
    s2attn_port_axis axes[3];
    c.axis_count = axes_of_request(request, axes, 3);
    c.axes = c.axis_count > 0 ? axes : NULL;
    if (c.axis_count < 0) {
        *reason = "axes";
        return S2ATTN_UNSUPPORTED;
    }
    if (c.dtype < 0 || c.mask < 0) {
        *reason = "dtype or mask";
        return S2ATTN_UNSUPPORTED;
    }

    /* "None", "SecondHalf", "All", or [true,false,...]. */
    uint8_t *shifted = calloc((size_t)c.heads, 1);
    const char *flags = field(request, "shiftedHeads");
    int given = flags && *flags == '[';
    for (int h = 0; given && h < c.heads && *flags; h++) {
        flags += strcspn(flags, "tf");
        shifted[h] = *flags++ == 't';
    }
    text(request, "shiftedHeads", word, sizeof word);
    for (int h = 0; h < c.heads; h++)
        if (strcmp(word, "All") == 0 || (strcmp(word, "SecondHalf") == 0 && h >= c.heads / 2)) shifted[h] = 1;
    c.shifted = shifted;

    size_t size;
    char *content = read_file(inputs, &size);
    if (!content || size < 8) {
        *reason = "the input file cannot be read";
        return S2ATTN_ERROR;
    }
    void *q = tensor(content, "q"), *k = tensor(content, "k"), *v = tensor(content, "v"), *valid = tensor(content, "valid"), *dout = tensor(content, "do");
    c.q = q, c.k = k, c.v = v, c.valid = valid, c.dout = dout;
    size_t element = sizes[c.dtype], lse_element = c.dtype == S2ATTN_F64 ? 8 : 4;
    size_t rows = (size_t)c.batch * (size_t)c.tokens * (size_t)c.heads, queries = rows * (size_t)c.head_dim * element;
    size_t keys = queries / (size_t)c.heads * (size_t)c.kv_heads;
    void *first = malloc(queries), *second = malloc(backward ? keys : rows * lse_element), *third = malloc(keys);
    c.o = c.dq = first, c.lse = c.dk = second, c.dv = third;

    int32_t status = backward ? s2attn_port_backward(&c) : s2attn_port_forward(&c);
    *reason = s2attn_port_message();
    const char *name = names[c.dtype], *lse_name = c.dtype == S2ATTN_F64 ? "F64" : "F32";
    output forward_outputs[] = {
        {"o", name, first, {c.batch, c.tokens, c.heads, c.head_dim}, 4, queries},
        {"lse", lse_name, second, {c.batch, c.tokens, c.heads}, 3, rows * lse_element},
    };
    output backward_outputs[] = {
        {"dq", name, first, {c.batch, c.tokens, c.heads, c.head_dim}, 4, queries},
        {"dk", name, second, {c.batch, c.tokens, c.kv_heads, c.head_dim}, 4, keys},
        {"dv", name, third, {c.batch, c.tokens, c.kv_heads, c.head_dim}, 4, keys},
    };
    if (status == S2ATTN_OK && !(backward ? write_file(outputs, backward_outputs, 3) : write_file(outputs, forward_outputs, 2))) {
        *reason = "the output file cannot be written";
        status = S2ATTN_ERROR;
    }
    free(content), free(shifted), free(q), free(k), free(v), free(valid), free(dout), free(first), free(second), free(third);
    return status;
}

/* ---- The protocol: one JSON object a line, in and out. Print nothing else on stdout; stderr is yours. ---- */

int main(void) {
    static char line[1 << 16];
    while (fgets(line, sizeof line, stdin)) {
        char op[32];
        const char *reason = "";
        long long id = (long long)number(line, "id");
        text(line, "op", op, sizeof op);
        if (strcmp(op, "shutdown") == 0) return 0;
        if (strcmp(op, "describe") == 0) {
            /* The library's own description is a JSON object: the fields behind its brace follow ours. */
            printf("{\"id\":%lld,\"ok\":true,%s\n", id, s2attn_port_describe() + 1);
        } else if (strcmp(op, "forward") != 0 && strcmp(op, "backward") != 0) {
            printf("{\"id\":%lld,\"ok\":false,\"unsupported\":\"op %s\"}\n", id, op);
        } else {
            int32_t status = run(line, strcmp(op, "backward") == 0, &reason);
            if (status == S2ATTN_OK) printf("{\"id\":%lld,\"ok\":true}\n", id);
            else printf("{\"id\":%lld,\"ok\":false,\"%s\":\"%s\"}\n", id, status == S2ATTN_UNSUPPORTED ? "unsupported" : "error", reason);
        }
        fflush(stdout);
    }
    return 0;
}
