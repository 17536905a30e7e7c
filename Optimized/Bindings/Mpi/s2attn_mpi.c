/* How does one sequence go over many machines, through the C interface of libs2attn and MPI? Forward and backward, against one process.
 *
 *     mpicc -std=c11 -O2 -I PREFIX/include -o s2attn_mpi s2attn_mpi.c -L PREFIX/lib -ls2attn -lm -Wl,-rpath,PREFIX/lib
 *     mpirun -n 4 ./s2attn_mpi [--tokens N] [--group G] [--shift S] [--batch B] [--heads H] [--kv-heads K] [--dim D] [--limit SECONDS] [--no-check] [--die RANK]
 *
 * Every rank holds whole groups of the sequence, as many as its neighbours or one less, and none where there are fewer groups than ranks. It sends its right neighbour the keys and
 * values of its last G - S tokens, of the kv heads that shifted heads read, and gets their gradients back: theorems HaloSuffices and HaloIsNeeded. Neither N nor the number of ranks
 * is in that. The heads that do not shift, which need nothing of other ranks, are computed while the halo is on its way; on the way back the same in reverse.
 *
 * o, lse and dq must have the bits of one process, dk and dv may differ by the order of two sums. A rank that fails, or gets no answer within the limit, ends the others.
 */
#include <math.h>
#include <mpi.h>
#include <s2attn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int64_t i64;

static i64 N = 256, G = 32, S = -1, B = 2, H = 4, K = 2, D = 16;
static int rank, ranks;

static void stop(const char *what, const char *why) {
    fprintf(stderr, "s2attn_mpi: rank %d: %s: %s\n", rank, what, why);
    fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

#define TRY(call) \
    do { \
        if ((call) != S2ATTN_SUCCESS) stop(#call, s2attn_last_error()); \
    } while (0)
#define REQUIRE(rule) \
    do { \
        if (!(rule)) stop("arguments", "must be " #rule); \
    } while (0)

static void out_of_time(int number) {
    static const char message[] = "s2attn_mpi: a rank did not answer within the limit; all end\n";
    (void)number;
    (void)!write(2, message, sizeof message - 1);
    _exit(3); /* mpirun ends the others where one leaves like this */
}

static float *floats(i64 count) {
    float *memory = calloc((size_t)(count > 0 ? count : 1), sizeof *memory);
    if (memory == NULL) stop("memory", "out of it");
    return memory;
}

/* Any rank can make any element: what stands at (b, t, h, d) of tensor `which` does not depend on who asks. */
static float element(int which, i64 b, i64 t, i64 h, i64 d) {
    uint64_t x = ((((uint64_t)which * 31 + (uint64_t)b) * 1000003 + (uint64_t)t) * 1009 + (uint64_t)h) * 521 + (uint64_t)d;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u, x = (x ^ (x >> 27)) * 0x94D049BB133111EBu, x ^= x >> 31;
    return (float)(x >> 40) / (float)(1 << 23) - 1.0f;
}

/* [B, tokens, heads, D] of tokens [first, first + tokens). */
static float *made(int which, i64 first, i64 tokens, i64 heads) {
    float *tensor = floats(B * tokens * heads * D), *at = tensor;
    for (i64 b = 0; b < B; b++)
        for (i64 t = 0; t < tokens; t++)
            for (i64 h = 0; h < heads; h++)
                for (i64 d = 0; d < D; d++) *at++ = element(which, b, first + t, h, d);
    return tensor;
}

static i64 first_token(int of) { /* of == ranks: N */
    i64 groups = (N + G - 1) / G, first = groups * of / ranks * G;
    return first < N ? first : N;
}

/* The next rank that holds tokens, in either direction; MPI_PROC_NULL where there is none. */
static int neighbour(int step) {
    for (int other = rank + step; other >= 0 && other < ranks; other += step)
        if (first_token(other) < first_token(other + 1)) return other;
    return MPI_PROC_NULL;
}

/* ---- One kind of heads: those that shift, or those that do not ---- */

typedef struct {
    i64 first, heads, first_kv, kv_heads; /* query heads [first, first + heads), and the kv heads that they read */
    i64 key_tokens;                       /* of k, v, dk, dv: own ones, and the halo before them */
    s2attn_plan plan;
} kind;

static const s2attn_strides *strides(i64 tokens, i64 heads) {
    static s2attn_strides all[8];
    static int next;
    s2attn_strides *given = &all[next++ % 8];
    *given = (s2attn_strides){tokens * heads * D, heads * D, D};
    return given;
}

/* Tensors of queries hold all heads; tensors of keys hold only the kv heads of the kind. */
static kind planned(int shifts, i64 start, i64 end, i64 halo) {
    kind it = {shifts ? H / 2 : 0, shifts ? H - H / 2 : H / 2, 0, 0, end - start + (shifts ? halo : 0), 0};
    if (it.heads == 0) return it;
    it.first_kv = it.first / (H / K);
    it.kv_heads = (it.first + it.heads - 1) / (H / K) - it.first_kv + 1;
    s2attn_config config;
    TRY(s2attn_config_init(&config, sizeof config));
    config.batch = B, config.tokens = G, config.heads = it.heads, config.kv_heads = it.kv_heads, config.head_dim = D;
    config.group_size = G, config.shift = S, config.mask = S2ATTN_MASK_SPLIT, config.dtype = S2ATTN_DTYPE_F32, config.threads = 1;
    config.shifted_heads = shifts ? S2ATTN_HEADS_ALL : S2ATTN_HEADS_NONE;
    s2attn_strides lse = {(end - start) * H, H, 1};
    config.query_strides = config.output_strides = config.query_gradient_strides = strides(end - start, H);
    config.key_strides = config.value_strides = config.key_gradient_strides = config.value_gradient_strides = strides(it.key_tokens, it.kv_heads);
    config.lse_strides = &lse;
    s2attn_slice slice = {sizeof slice, start, end, end - it.key_tokens, end, 1, 0};
    TRY(s2attn_create_slice(&config, &slice, &it.plan));
    return it;
}

static void forward(const kind *it, const float *q, const float *k, const float *v, float *o, float *lse) {
    if (it->heads) TRY(s2attn_forward(it->plan, q + it->first * D, k, v, NULL, o + it->first * D, lse + it->first));
}

static void backward(const kind *it, const float *q, const float *k, const float *v, const float *o, const float *lse, const float *gradient, float *dq, float *dk, float *dv) {
    i64 at = it->first * D;
    if (it->heads) TRY(s2attn_backward(it->plan, q + at, k, v, NULL, o + at, lse + it->first, gradient + at, NULL, dq + at, dk, dv));
}

/* Rows from token `from` on, of heads from `head` on, in a tensor [B, tokens, heads, D]. */
typedef struct {
    float *tensor;
    i64 tokens, heads, head, from;
} place;

static place packed(float *buffer, i64 count, i64 heads) { return (place){buffer, count, heads, 0, 0}; }

/* Copies, or adds, `count` tokens of `heads` heads. */
static void copy(int adds, place to, place from, i64 count, i64 heads) {
    for (i64 b = 0; b < B; b++)
        for (i64 t = 0; t < count; t++) {
            float *target = to.tensor + ((b * to.tokens + to.from + t) * to.heads + to.head) * D;
            const float *source = from.tensor + ((b * from.tokens + from.from + t) * from.heads + from.head) * D;
            for (i64 at = 0; at < heads * D; at++) target[at] = adds ? target[at] + source[at] : source[at];
        }
}

/* What rank 0 holds against one process; worst |difference| relative to the largest |value|, 0 only where all bits are the same. */
static double apart(const float *a, const float *b, i64 count) {
    double worst = 0, largest = 0;
    if (memcmp(a, b, (size_t)count * sizeof *a) == 0) return 0;
    for (i64 i = 0; i < count; i++) worst = fmax(worst, fabs((double)a[i] - b[i])), largest = fmax(largest, fabs((double)b[i]));
    return worst > 0 ? worst / largest : NAN;
}

/* The whole tensor at rank 0, from the parts [B, tokens, row]. */
static float *gathered(const float *part, i64 row) {
    float *whole = rank == 0 ? floats(B * N * row) : NULL;
    for (i64 b = 0; b < B; b++) {
        int counts[ranks], places[ranks];
        for (int r = 0; r < ranks; r++) counts[r] = (int)((first_token(r + 1) - first_token(r)) * row), places[r] = (int)(first_token(r) * row);
        MPI_Gatherv(part + b * counts[rank], counts[rank], MPI_FLOAT, whole ? whole + b * N * row : NULL, counts, places, MPI_FLOAT, 0, MPI_COMM_WORLD);
    }
    return whole;
}

static int check(const float *o, const float *lse, const float *dq, const float *dk, const float *dv) {
    float *all[] = {gathered(o, H * D), gathered(lse, H), gathered(dq, H * D), gathered(dk, K * D), gathered(dv, K * D)};
    if (rank != 0) return 0;
    float *q = made(0, 0, N, H), *k = made(1, 0, N, K), *v = made(2, 0, N, K), *gradient = made(3, 0, N, H);
    float *one[] = {floats(B * N * H * D), floats(B * N * H), floats(B * N * H * D), floats(B * N * K * D), floats(B * N * K * D)};
    s2attn_config config;
    s2attn_plan plan;
    TRY(s2attn_config_init(&config, sizeof config));
    config.batch = B, config.tokens = N, config.heads = H, config.kv_heads = K, config.head_dim = D, config.group_size = G, config.shift = S;
    config.mask = S2ATTN_MASK_SPLIT, config.dtype = S2ATTN_DTYPE_F32, config.threads = 1;
    TRY(s2attn_create(&config, &plan));
    TRY(s2attn_forward(plan, q, k, v, NULL, one[0], one[1]));
    TRY(s2attn_backward(plan, q, k, v, NULL, one[0], one[1], gradient, NULL, one[2], one[3], one[4]));
    static const char *const names[] = {"o", "lse", "dq", "dk", "dv"};
    const i64 sizes[] = {B * N * H * D, B * N * H, B * N * H * D, B * N * K * D, B * N * K * D};
    int wrong = 0;
    for (int i = 0; i < 5; i++) {
        double difference = apart(all[i], one[i], sizes[i]);
        int bits = i < 3; /* two sums of at most 2 G terms each, in another order: 4 G units of the last place, relative to the largest */
        int holds = bits ? difference == 0 : difference <= (double)(4 * G) * ldexp(1, -24);
        printf("%-3s %s one process: %s%.2g\n", names[i], holds ? "as" : "NOT as", difference == 0 ? "the same bits, " : "relative difference ", difference);
        wrong |= !holds;
    }
    return wrong;
}

int main(int count, char **given) {
    MPI_Init(&count, &given);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    i64 limit = 60, die = -1, checks = 1;
    struct {
        const char *name;
        i64 *value;
    } options[] = {{"--tokens", &N}, {"--group", &G}, {"--shift", &S}, {"--batch", &B}, {"--heads", &H}, {"--kv-heads", &K}, {"--dim", &D}, {"--limit", &limit}, {"--die", &die}};
    for (int i = 1; i < count; i++) {
        size_t known = sizeof options / sizeof options[0], at = 0;
        if (strcmp(given[i], "--no-check") == 0) {
            checks = 0;
            continue;
        }
        while (at < known && strcmp(given[i], options[at].name) != 0) at++;
        char *end = NULL;
        if (at == known || i + 1 == count) stop(given[i], "is no option, or lacks its value");
        *options[at].value = strtoll(given[++i], &end, 10);
        if (*end) stop(given[i], "must be a whole number");
    }
    if (S < 0) S = G / 2;
    REQUIRE(N >= 1 && N <= 1 << 24);
    REQUIRE(G >= 1 && G <= N);
    REQUIRE(S < G);
    REQUIRE(B >= 1 && B <= 1024 && D >= 1 && D <= 1024);
    REQUIRE(K >= 1 && H >= K && H <= 1024 && H % K == 0);
    REQUIRE(K == 1 || (K % 2 == 0 && H % 2 == 0)); /* each half of the heads reads kv heads of its own, or all read one */
    REQUIRE(2 * G * B * K * D <= INT32_MAX && B * N * H * D <= INT32_MAX); /* counts of MPI are ints */
    REQUIRE(limit >= 1 && limit <= 3600);
    signal(SIGALRM, out_of_time);
    alarm((unsigned)limit);

    i64 start = first_token(rank), end = first_token(rank + 1), own = end - start, halo = own > 0 && start > 0 && S > 0 ? G - S : 0;
    int left = own > 0 && S > 0 ? neighbour(-1) : MPI_PROC_NULL, right = own > 0 && S > 0 ? neighbour(1) : MPI_PROC_NULL;
    float *q = made(0, start, own, H), *k = made(1, start, own, K), *v = made(2, start, own, K), *gradient = made(3, start, own, H);
    float *o = floats(B * own * H * D), *lse = floats(B * own * H), *dq = floats(B * own * H * D), *dk = floats(B * own * K * D), *dv = floats(B * own * K * D);
    kind still = {0}, shifted = {0};
    if (own > 0) still = planned(0, start, end, halo), shifted = planned(1, start, end, halo);

    i64 sent = right == MPI_PROC_NULL ? 0 : G - S, kv = shifted.kv_heads, half = B * kv * D; /* elements of a token, of k or of v */
    float *out = floats(sent * 2 * half), *in = floats(halo * 2 * half);
    kind *kinds[] = {&still, &shifted};
    float *keys[2], *values[2], *key_gradients[2], *value_gradients[2];
    for (int i = 0; i < 2; i++) {
        i64 size = B * kinds[i]->key_tokens * kinds[i]->kv_heads * D, before = kinds[i]->key_tokens - own;
        keys[i] = floats(size), values[i] = floats(size), key_gradients[i] = floats(size), value_gradients[i] = floats(size);
        copy(0, (place){keys[i], kinds[i]->key_tokens, kinds[i]->kv_heads, 0, before}, (place){k, own, K, kinds[i]->first_kv, 0}, own, kinds[i]->kv_heads);
        copy(0, (place){values[i], kinds[i]->key_tokens, kinds[i]->kv_heads, 0, before}, (place){v, own, K, kinds[i]->first_kv, 0}, own, kinds[i]->kv_heads);
    }
    if (die == rank) _exit(7);

    /* Forward: the halo travels to the right while the heads that need none are computed. */
    MPI_Request requests[2];
    copy(0, packed(out, sent, kv), (place){k, own, K, shifted.first_kv, own - sent}, sent, kv);
    copy(0, packed(out + sent * half, sent, kv), (place){v, own, K, shifted.first_kv, own - sent}, sent, kv);
    MPI_Irecv(in, (int)(halo * 2 * half), MPI_FLOAT, left, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(out, (int)(sent * 2 * half), MPI_FLOAT, right, 1, MPI_COMM_WORLD, &requests[1]);
    forward(&still, q, keys[0], values[0], o, lse);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    copy(0, packed(keys[1], shifted.key_tokens, kv), packed(in, halo, kv), halo, kv);
    copy(0, packed(values[1], shifted.key_tokens, kv), packed(in + halo * half, halo, kv), halo, kv);
    forward(&shifted, q, keys[1], values[1], o, lse);

    /* Backward: the gradients of the halo travel home while the heads that have none are computed; their owner adds them, once. */
    backward(&shifted, q, keys[1], values[1], o, lse, gradient, dq, key_gradients[1], value_gradients[1]);
    copy(0, packed(in, halo, kv), packed(key_gradients[1], shifted.key_tokens, kv), halo, kv);
    copy(0, packed(in + halo * half, halo, kv), packed(value_gradients[1], shifted.key_tokens, kv), halo, kv);
    MPI_Irecv(out, (int)(sent * 2 * half), MPI_FLOAT, right, 2, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(in, (int)(halo * 2 * half), MPI_FLOAT, left, 2, MPI_COMM_WORLD, &requests[1]);
    backward(&still, q, keys[0], values[0], o, lse, gradient, dq, key_gradients[0], value_gradients[0]);
    for (int i = 0; i < 2; i++) {
        i64 before = kinds[i]->key_tokens - own, heads = kinds[i]->kv_heads;
        copy(1, (place){dk, own, K, kinds[i]->first_kv, 0}, (place){key_gradients[i], kinds[i]->key_tokens, heads, 0, before}, own, heads);
        copy(1, (place){dv, own, K, kinds[i]->first_kv, 0}, (place){value_gradients[i], kinds[i]->key_tokens, heads, 0, before}, own, heads);
    }
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    copy(1, (place){dk, own, K, shifted.first_kv, own - sent}, packed(out, sent, kv), sent, kv);
    copy(1, (place){dv, own, K, shifted.first_kv, own - sent}, packed(out + sent * half, sent, kv), sent, kv);

    i64 bytes[] = {sent * 2 * half * (i64)sizeof(float), halo * 2 * half * (i64)sizeof(float)}, most[2], total[2];
    MPI_Reduce(bytes, most, 2, MPI_INT64_T, MPI_MAX, 0, MPI_COMM_WORLD);
    MPI_Reduce(bytes, total, 2, MPI_INT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("N=%lld ranks=%d: a rank sends at most %lld bytes forward and %lld backward, all together %lld and %lld\n", (long long)N, ranks, (long long)most[0], (long long)most[1], (long long)total[0], (long long)total[1]);
    int wrong = checks ? check(o, lse, dq, dk, dv) : 0;
    MPI_Bcast(&wrong, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Finalize();
    return wrong;
}
