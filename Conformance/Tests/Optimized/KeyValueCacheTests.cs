// Does text that comes in pieces give what the whole gives, from a cache that forgets what the theorem lets it forget?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KeyValueCacheTests
{
    // Every number of registers up to four, and what is left behind four, eight and twelve of them.
    private static readonly int[] LongDims = [32, 96, 64, 40, 130, 72, 200];

    public static TheoryData<ElementType, VectorWidth> Paths
    {
        get
        {
            TheoryData<ElementType, VectorWidth> paths = [];
            foreach (VectorWidth width in KernelPaths.Widths)
                foreach (ElementType type in new[] { ElementType.F32, ElementType.F16, ElementType.BF16 })
                    paths.Add(type, width);
            return paths;
        }
    }

    /// <summary>Every kind of value, NaN and infinities among them, in pieces of 1 to 20 tokens, kept in rings that turn round.</summary>
    [Theory]
    [MemberData(nameof(Paths))]
    public void Text_in_pieces_stays_within_the_bound_of_the_whole(ElementType type, VectorWidth width)
    {
        Random random = new(5);
        int seed = 0;
        foreach (TensorKind kind in Enum.GetValues<TensorKind>())
            for (int i = 0; i < 3; i++)
            {
                int groupSize = random.Next(1, 24), tokens = groupSize + random.Next(60), kvHeads = i == 0 ? 1 : 2, dim = new[] { 5, 8, 16, 40 }[random.Next(4)];
                S2Config config = Config(tokens, groupSize, random.Next(groupSize), kvHeads, dim);
                Check(new(config, type, kind, PaddingPattern.None, seed++), width, random);
            }

        // More keys than one part, and more than one tile: parts are merged.
        Check(new(Config(2500, 2500, 0, 2, 16), type, TensorKind.Normal, PaddingPattern.None, seed), width, random, last: 3);
    }

    /// <summary>
    /// One to six parts of keys, each less one, whole and one more, with the first key of a part alone behind a shift of one or of a part; each number of queries that goes the way of decoding and
    /// one more, over kv heads that one to nine query heads share, half of which shift.
    /// </summary>
    [Fact]
    public void Parts_of_keys_rows_and_heads_of_any_number_stay_within_the_bound()
    {
        const int Part = DecodeWork<float>.KeysOfPart;
        Random random = new(6);
        int seed = 0;
        (int KvHeads, int Share)[] heads = [(1, 1), (1, 2), (2, 1), (1, 9), (2, 3), (3, 2), (1, 8), (4, 1), (1, 4)];
        foreach (int parts in new[] { 1, 2, 3, 4, 5, 6 })
            foreach (int offset in new[] { -1, 0, 1 })
            {
                int keys = (parts * Part) + offset;
                (int kvHeads, int share) = heads[seed % heads.Length];
                foreach (int shift in new[] { 0, 1, (Part + seed) % keys }.Take(seed % 2 == 0 ? 3 : 2))
                {
                    S2Config config = S2Config.Create(new()
                    {
                        Tokens = keys + shift,
                        Heads = kvHeads * share,
                        KvHeads = kvHeads,
                        HeadDim = seed % 2 == 0 ? 1 + (seed % 17) : LongDims[seed / 2 % LongDims.Length],
                        GroupSize = GroupSizeRule.Of(keys + shift),
                        Shift = shift,
                        Mask = MaskPolicy.Split,
                        ShiftedHeads = HeadShift.Of(Enumerable.Range(0, kvHeads * share).Select(head => (head + seed) % 2 == 0)),
                        Scale = new double?[] { null, 9.5, -0.25, 1, 1e-39 }[seed % 5],
                    });
                    ElementType type = seed % 3 == 0 ? ElementType.F32 : seed % 3 == 1 ? ElementType.BF16 : ElementType.F16;
                    Check(new(config, type, TensorKind.Normal, PaddingPattern.None, seed), KernelPaths.Widths[seed % KernelPaths.Widths.Length], random, last: 1 + (seed++ % 9));
                }
            }
    }

    /// <summary>
    /// Rows of one to twelve pairs of registers, whole, one element less and one more: what is left behind each width of the products, for one to five rows at once, and where they are taken apart by
    /// parity each pair in its own place.
    /// </summary>
    [Theory]
    [MemberData(nameof(Paths))]
    public void Rows_of_any_number_of_registers_stay_within_the_bound(ElementType type, VectorWidth width)
    {
        int pair = 2 * VectorWidths.Bits(width) / 32, seed = 0;
        Random random = new(7);
        foreach ((int dim, int heads) in Enumerable.Range(1, 12).SelectMany(pairs => new[] { (pairs * pair, 4), (pairs * pair, 1 + (pairs % 5)), ((pairs * pair) + (pairs % 2 == 0 ? 1 : -1), 1 + ((pairs + 2) % 5)) }))
        {
            S2Config config = S2Config.Create(new() { Tokens = 7, Heads = heads, KvHeads = 1, HeadDim = dim, GroupSize = GroupSizeRule.Of(7), Mask = MaskPolicy.Split, ShiftedHeads = HeadShift.None });
            Check(new(config, type, TensorKind.Normal, PaddingPattern.None, seed++), width, random, last: 1);
        }
    }

    /// <summary>Theorem CacheBounded, observed: memory stays where it was at G + chunk rows, whatever N is.</summary>
    [Fact]
    public void The_memory_of_a_cache_does_not_grow_with_the_text()
    {
        S2Config config = Config(32, 32, 12, 2, 8);
        using KeyValueCache<float> cache = new(config, new() { MaxChunk = 8, Threads = 1 });
        Assert.Equal(0, cache.Bytes);
        float[] row = new float[2 * 8], query = new float[4 * 8], output = new float[4 * 8];
        for (int t = 0; t < 2000; t++)
        {
            cache.Append(row, row);
            cache.Attend(query, output);
            Assert.True(t + 1 - cache.FirstKeyOf(0) <= 32);
        }

        Assert.Equal(2L * 2 * (32 + 8) * 8 * sizeof(float), cache.Bytes);
        Assert.Equal(40, cache.MaxRows);
        Assert.Equal(2000, cache.LengthOf(0));
        cache.Reset(0);
        Assert.Equal(0, cache.LengthOf(0));
        cache.Append(row, row);
        cache.Attend(query, output);
    }

    /// <summary>The first key of the next query, which may begin a run; and a chunk of all tokens that a call may have, whose first query is the last of its run.</summary>
    [Theory]
    [InlineData(6, 0, 4)]
    [InlineData(6, 2, 4)]
    [InlineData(5, 4, 3)]
    [InlineData(1, 0, 9)]
    [InlineData(7, 3, 12)]
    public void The_first_key_is_that_of_the_next_query_and_the_longest_chunk_finds_its_keys(int groupSize, int shift, int chunk)
    {
        const int Tokens = 60, Row = 4 * 4, KvRow = 2 * 4;
        S2Config config = Config(Tokens, groupSize, shift, 2, 4);
        float[] q = Noise(Tokens * Row, 1), k = Noise(Tokens * KvRow, 2), v = Noise(Tokens * KvRow, 3), o = new float[q.Length], part = new float[chunk * Row];
        using (S2AttentionPlan plan = new(config, new() { Threads = 1 }))
            plan.Forward<float>(q, k, v, o);
        for (int before = 0; before + chunk <= Tokens; before++)
        {
            using KeyValueCache<float> cache = new(config, new() { Threads = 1, MaxChunk = chunk });
            cache.Append(k.AsSpan(0, before * KvRow), v.AsSpan(0, before * KvRow));
            Assert.Equal(Enumerable.Range(0, Tokens).First(u => Enumerable.Range(0, 4).Any(head => Enumerable.Range(before, Tokens - before).Any(t => Visibility.Visible(config, head, t, u)))), cache.FirstKeyOf(0));
            cache.Append(k.AsSpan(before * KvRow, chunk * KvRow), v.AsSpan(before * KvRow, chunk * KvRow));
            cache.Attend(q.AsSpan(before * Row, chunk * Row), part);
            Assert.All(Enumerable.Range(0, part.Length), i => Assert.Equal(o[(before * Row) + i], part[i], 1e-5f));
        }
    }

    [Fact]
    public void Keys_that_a_head_does_not_see_never_touch_it_be_they_NaN()
    {
        // One kv head for all: heads that shift still see the end of the group before, the others do not.
        S2Config config = Config(16, 8, 4, 1, 8);
        using KeyValueCache<float> cache = new(config, new() { Threads = 1 });
        float[] bad = Noise(8 * 8, 1), good = Noise(2 * 8, 2), query = Noise(2 * 4 * 8, 3), output = new float[query.Length];
        Array.Fill(bad, float.NaN);
        cache.Append(bad, bad);
        cache.Append(good, good);
        cache.Attend(query, output);
        for (int t = 0; t < 2; t++)
            for (int head = 0; head < 4; head++)
                Assert.All(output.AsSpan((t * 4 + head) * 8, 8).ToArray(), value => Assert.Equal(head < 2, float.IsFinite(value)));
    }

    [Fact]
    public void Results_are_the_same_bits_for_any_number_of_threads_and_a_chunk_has_the_bits_of_the_whole()
    {
        S2Config config = Config(3000, 3000, 0, 2, 24);
        float[] q = Noise(3000 * 4 * 24, 1), k = Noise(3000 * 2 * 24, 2), v = Noise(3000 * 2 * 24, 3), o = new float[q.Length], lse = new float[3000 * 4];
        using (S2AttentionPlan plan = new(config, new() { Threads = 2 }))
            plan.Forward<float>(q, k, v, o, lse);
        float[]? expected = null;
        foreach (int threads in new[] { 1, 3 })
        {
            using KeyValueCache<float> cache = new(config, new() { Threads = threads, MaxChunk = 700 });
            float[] part = new float[100 * 4 * 24], partLse = new float[400];
            cache.Append(k.AsSpan(0, 2100 * 48), v.AsSpan(0, 2100 * 48));
            cache.Attend(q.AsSpan(2000 * 96, 100 * 96), part, partLse);
            Assert.Equal(o.AsSpan(2000 * 96, 100 * 96).ToArray(), part);
            Assert.Equal(lse.AsSpan(2000 * 4, 400).ToArray(), partLse);
            float[] step = new float[3 * 96];
            cache.Attend(q.AsSpan(2097 * 96, 3 * 96), step);
            Assert.Equal(expected ?? step, step);
            expected = step;
        }
    }

    /// <summary>Token by token, so that the cache grows each time just when it is full: every row is there whenever a query asks.</summary>
    [Fact]
    public void A_cache_that_grows_when_it_is_full_keeps_every_row()
    {
        const int Tokens = 300, Row = 4 * 4, KvRow = 2 * 4;
        S2Config config = Config(Tokens, Tokens, 0, 2, 4);
        float[] q = Noise(Tokens * Row, 1), k = Noise(Tokens * KvRow, 2), v = Noise(Tokens * KvRow, 3), o = new float[q.Length], lse = new float[Tokens * 4], part = new float[Row];
        using (S2AttentionPlan plan = new(config, new() { Threads = 1 }))
            plan.Forward<float>(q, k, v, o, lse);
        using KeyValueCache<float> cache = new(config, new() { Threads = 1, MaxChunk = 1 });
        for (int t = 0; t < Tokens; t++)
        {
            cache.Append(k.AsSpan(t * KvRow, KvRow), v.AsSpan(t * KvRow, KvRow));
            cache.Attend(q.AsSpan(t * Row, Row), part);
            for (int i = 0; i < Row; i++)
                Assert.True(Math.Abs(o[(t * Row) + i] - part[i]) < 1e-5f, $"token {t}: {part[i]} for {o[(t * Row) + i]}");
        }
    }

    /// <summary>A kv head for more query heads than a stack has room for ended the process; so many are attended like a chunk, with the same results.</summary>
    [Theory]
    [InlineData(128)]
    [InlineData(129)]
    [InlineData(1025)]
    [InlineData(1 << 16)]
    public void A_kv_head_may_have_any_number_of_query_heads(int heads)
    {
        S2Config config = S2Config.Create(new() { Tokens = 8, Heads = heads, KvHeads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split });
        float[] q = Noise(8 * heads, 1), k = Noise(8, 2), v = Noise(8, 3), o = new float[q.Length], lse = new float[q.Length], part = new float[q.Length];
        using (S2AttentionPlan plan = new(config, new() { Threads = 1 }))
            plan.Forward<float>(q, k, v, o, lse);
        using KeyValueCache<float> cache = new(config, new() { Threads = 1, MaxChunk = 8 });
        cache.Append(k, v);
        cache.Attend(q, part);
        Assert.All(o.Zip(part).Where(pair => Math.Abs(pair.First - pair.Second) > 1e-5f), pair => Assert.Fail($"{pair.Second} for {pair.First}"));
    }

    [Fact]
    public void What_a_cache_cannot_do_is_refused_by_name()
    {
        S2Config config = Config(16, 8, 4, 2, 8);
        S2Config other = S2Config.Create(new() { Tokens = 16, HeadDim = 8, GroupSize = GroupSizeRule.Of(8), Mask = MaskPolicy.LocalCausal });
        Assert.Contains("LocalCausal", Assert.Throws<ArgumentException>(() => new KeyValueCache<float>(other)).Message, StringComparison.Ordinal);
        Assert.Throws<NotSupportedException>(() => new KeyValueCache<double>(config));
        Assert.Equal("options.Sequences", Assert.Throws<ArgumentOutOfRangeException>(() => new KeyValueCache<float>(config, new() { Sequences = 0 })).ParamName);
        Assert.Equal("options.MaxChunk", Assert.Throws<ArgumentOutOfRangeException>(() => new KeyValueCache<float>(config, new() { MaxChunk = 0 })).ParamName);
        foreach (int threads in new[] { 0, 4097 })
            Assert.Equal("options.Threads", Assert.Throws<ArgumentOutOfRangeException>(() => new KeyValueCache<float>(config, new() { Threads = threads })).ParamName);
        using KeyValueCache<float> cache = new(config, new() { Sequences = 2, MaxChunk = 4 });
        float[] row = new float[2 * 8], query = new float[4 * 8];
        Assert.Equal("key", Assert.Throws<ArgumentException>(() => cache.Append(row.AsSpan(1), row)).ParamName);
        Assert.Equal("key", Assert.Throws<ArgumentException>(() => cache.Append(row, row)).ParamName);
        foreach (int length in new[] { 0, 15, 17, 32 })
            Assert.Equal("value", Assert.Throws<ArgumentException>(() => cache.Append(row, new float[length], 0)).ParamName);
        Assert.Equal("sequence", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Append(row, row, 2)).ParamName);
        foreach (int sequence in new[] { -1, 2 })
        {
            Assert.Equal("sequence", Assert.Throws<ArgumentOutOfRangeException>(() => cache.LengthOf(sequence)).ParamName);
            Assert.Equal("sequence", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Reset(sequence)).ParamName);
        }

        Assert.Equal("query", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Attend(query, new float[32], sequence: 0)).ParamName);
        cache.Append(row, row, 0);
        cache.Attend(query, new float[32], sequence: 0);
        Assert.Equal("query", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Attend(new float[2 * 32], new float[2 * 32], sequence: 0)).ParamName);
        foreach (int length in new[] { 0, 31, 33, 64 })
            Assert.Equal("output", Assert.Throws<ArgumentException>(() => cache.Attend(query, new float[length], sequence: 0)).ParamName);
        Assert.Equal("output", Assert.Throws<ArgumentException>(() => cache.Attend(query, query, sequence: 0)).ParamName);
        foreach (int length in new[] { 3, 5, 8 })
            Assert.Equal("logSumExp", Assert.Throws<ArgumentException>(() => cache.Attend(query, new float[32], new float[length], sequence: 0)).ParamName);
        cache.Append(new float[10 * 16], new float[10 * 16], 0);
        Assert.Equal("query", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Attend(new float[5 * 32], new float[5 * 32], sequence: 0)).ParamName);
        cache.Attend([], []);

        // Every sequence must have the tokens, not only the first; and no part of what is written may be read.
        Assert.Contains("sequence 1", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Attend(new float[2 * 32], new float[2 * 32])).Message, StringComparison.Ordinal);
        float[] both = new float[3 * 32];
        foreach (int apart in new[] { 1, 31 })
        {
            Assert.Equal("output", Assert.Throws<ArgumentException>(() => cache.Attend(both.AsSpan(0, 32), both.AsSpan(apart, 32), sequence: 0)).ParamName);
            Assert.Equal("output", Assert.Throws<ArgumentException>(() => cache.Attend(both.AsSpan(apart, 32), both.AsSpan(0, 32), sequence: 0)).ParamName);
        }

        cache.Attend(both.AsSpan(0, 32), both.AsSpan(32, 32), sequence: 0);
        S2Config wide = S2Config.Create(new() { Tokens = 1, HeadDim = 65537, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split });
        Assert.Equal("config", Assert.Throws<ArgumentOutOfRangeException>(() => new KeyValueCache<float>(wide)).ParamName);
        cache.Dispose();
        Assert.Throws<ObjectDisposedException>(() => cache.Append(row, row, 0));
        Assert.Throws<ObjectDisposedException>(() => cache.Attend(query, new float[32], sequence: 0));
        Assert.Throws<ObjectDisposedException>(() => cache.LengthOf(0));

        // That it is closed is said before what else is wrong with a call.
        Assert.Throws<ObjectDisposedException>(() => cache.Append(row, [], 0));
        Assert.Throws<ObjectDisposedException>(() => cache.Attend(query, [], sequence: 0));
    }

    /// <summary>Of two sequences at once, by a step and by a chunk behind the N of the configuration, whose logsumexp is not asked for.</summary>
    [Fact]
    public void A_call_for_all_sequences_is_one_for_each()
    {
        const int Row = 4 * 4, KvRow = 2 * 4;
        S2Config config = Config(8, 8, 3, 2, 4);
        using KeyValueCache<float> cache = new(config, new() { Sequences = 2, MaxChunk = 20, Threads = 1 }), alone = new(config, new() { Sequences = 2, MaxChunk = 20, Threads = 1 });
        float[] k = Noise(2 * 45 * KvRow, 1), v = Noise(2 * 45 * KvRow, 2), query = Noise(2 * 20 * Row, 3), together = new float[query.Length], each = new float[query.Length];
        cache.Append(k, v);
        for (int i = 0; i < 2; i++)
            alone.Append(k.AsSpan(i * 45 * KvRow, 45 * KvRow), v.AsSpan(i * 45 * KvRow, 45 * KvRow), i);
        foreach (int tokens in new[] { 1, 20 })
        {
            int length = tokens * Row;
            cache.Attend(query.AsSpan(0, 2 * length), together.AsSpan(0, 2 * length));
            for (int i = 0; i < 2; i++)
                alone.Attend(query.AsSpan(i * length, length), each.AsSpan(i * length, length), sequence: i);
            Assert.Equal(each, together);
        }

        // Keys and values of two kv heads in 8 + 20 rows of 4 floats, twice.
        Assert.Equal(2 * 2 * 2 * 28 * 4 * sizeof(float), cache.Bytes);
    }

    /// <summary>Each sequence must have its whole prefix; a call of no token asks for none.</summary>
    [Fact]
    public void Every_sequence_must_have_a_prefix_that_is_seen_whole()
    {
        S2Config config = S2Config.Create(new() { Tokens = 8, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split, Prefix = 3, IsPrefixWhole = true });
        using KeyValueCache<float> cache = new(config, new() { Sequences = 2, MaxChunk = 4, Threads = 1 });
        Assert.Equal(3 + 4 + 4, cache.MaxRows);
        float[] rows = new float[3 * config.KvHeads], query = new float[2 * config.Heads], output = new float[query.Length];
        cache.Attend([], []);
        cache.Append(rows, rows, 0);
        cache.Append(rows.AsSpan(0, 2 * config.KvHeads), rows.AsSpan(0, 2 * config.KvHeads), 1);
        Assert.Contains("sequence 1 has 2 tokens: queries of a prefix", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Attend(query, output)).Message, StringComparison.Ordinal);
        cache.Append(rows.AsSpan(0, config.KvHeads), rows.AsSpan(0, config.KvHeads), 1);
        cache.Attend(query, output);
    }

    /// <summary>Two appends fill it to the last token that it may have; what is appended is not there but for the rows that are kept.</summary>
    [Fact]
    public unsafe void A_sequence_has_at_most_half_of_the_tokens_that_32_bits_count()
    {
        const int Half = 1 << 29;
        S2Config config = S2Config.Create(new() { Tokens = 4, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split });
        using KeyValueCache<BFloat16> cache = new(config, new() { Sequences = 2, MaxChunk = 1, Threads = 1 });
        using ReservedMemory memory = new((long)Half * sizeof(BFloat16));
        cache.Append(Rows(Half), Rows(Half), 1);
        cache.Append(Rows(Half - 1), Rows(Half - 1), 1);
        Assert.Equal((1 << 30) - 1, cache.LengthOf(1));
        Assert.Equal("key", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Append(Rows(1), Rows(1), 1)).ParamName);
        Assert.Equal("key", Assert.Throws<ArgumentOutOfRangeException>(() => cache.Append(Rows(2), Rows(2))).ParamName);
        Assert.Equal((0, (1 << 30) - 1), (cache.LengthOf(0), cache.LengthOf(1)));

        ReadOnlySpan<BFloat16> Rows(int tokens) => new(memory.Start, tokens);
    }

    /// <summary>A step has memory of its own and allocates nothing; a longer chunk is attended as a slice, for which it plans. 512 heads of a kv head have room for two queries.</summary>
    [Theory]
    [InlineData(1, 16, 16, false)]
    [InlineData(8, 16, 16, false)]
    [InlineData(9, 16, 16, true)]
    [InlineData(2, 512, 1, false)]
    [InlineData(3, 512, 1, true)]
    public void Up_to_eight_queries_go_a_way_of_their_own(int tokens, int heads, int kvHeads, bool plans)
    {
        const int Dim = 256;
        S2Config config = S2Config.Create(new() { Tokens = 16, Heads = heads, KvHeads = kvHeads, HeadDim = Dim, GroupSize = GroupSizeRule.Of(16), Mask = MaskPolicy.Split });
        using KeyValueCache<float> cache = new(config, new() { MaxChunk = 16, Threads = 1 });
        float[] rows = new float[16 * kvHeads * Dim], query = new float[tokens * heads * Dim], output = new float[query.Length];
        cache.Append(rows, rows);
        cache.Attend(query, output);
        long before = GC.GetAllocatedBytesForCurrentThread();
        cache.Attend(query, output);
        Assert.Equal(plans, GC.GetAllocatedBytesForCurrentThread() > before);
    }

    private static void Check(AttentionCase item, VectorWidth width, Random random, int last = 0)
    {
        switch (item.Type)
        {
            case ElementType.F32:
                Check(item, width, random, last, value => (float)value, value => value);
                break;
            case ElementType.F16:
                Check(item, width, random, last, value => (Half)value, value => (double)value);
                break;
            default:
                Check(item, width, random, last, value => (BFloat16)(float)value, value => (float)value);
                break;
        }
    }

    // Two sequences, one some tokens behind the other, of which each is the case. Where only the last queries are asked, each is appended whole.
    private static void Check<T>(AttentionCase item, VectorWidth width, Random random, int last, Func<double, T> narrow, Func<T, double> widen)
        where T : unmanaged
    {
        S2Config config = item.Config;
        AttentionInput<double> input = item.BuildInput();

        // A tile of the decode kernel may end with the ring: the worst case rescales at every key.
        RoundingModel model = OptimizedPort.ModelOf(config, item.Type) with { KeyBlock = 1 };
        T[] q = [.. input.Query.Map(narrow).Elements], k = [.. input.Key.Map(narrow).Elements], v = [.. input.Value.Map(narrow).Elements];
        int row = config.Heads * config.HeadDim, kvRow = config.KvHeads * config.HeadDim, most = last > 0 ? last : random.Next(1, 21);
        using KeyValueCache<T> cache = new(config, new() { Sequences = 2, MaxChunk = most, Threads = 2, VectorWidth = width });
        for (bool any = true; any;)
        {
            any = false;
            for (int sequence = 0; sequence < 2; sequence++)
            {
                int t0 = cache.LengthOf(sequence), count = Math.Min(last > 0 ? config.Tokens : random.Next(1, most + 1), config.Tokens - t0);
                if (count == 0)
                    continue;
                any = true;
                cache.Append(k.AsSpan(t0 * kvRow, count * kvRow), v.AsSpan(t0 * kvRow, count * kvRow), sequence);
                int asked = last > 0 ? last : count, first = t0 + count - asked;
                T[] o = new T[asked * row];
                float[] lse = new float[asked * config.Heads];
                cache.Attend(q.AsSpan(first * row, asked * row), o, lse, sequence);
                for (int i = 0; i < lse.Length; i++)
                {
                    (int t, int head) = (first + i / config.Heads, i % config.Heads);
                    BoundedRow bound = ErrorBound.Row(config, input, 0, t, head, model);
                    Assert.True(Agreement.Ratio(lse[i], bound.Row.LogSumExp, bound.LogSumExpBound) <= 1, $"{item} lse[{t},{head}] {lse[i]} for {bound.Row.LogSumExp}");
                    for (int d = 0; d < config.HeadDim; d++)
                        Assert.True(Agreement.Ratio(widen(o[i * config.HeadDim + d]), bound.Output[d], bound.OutputBound[d]) <= 1, $"{item} o[{t},{head},{d}] {o[i * config.HeadDim + d]} for {bound.Output[d]}");
                }
            }
        }
    }

    /// <summary>Each sequence starts at a first key of its own and has as many parts of keys as it is long, whichever of them is the longest.</summary>
    [Theory]
    [InlineData(16, 700, 310, 333)]
    [InlineData(16, 310, 700, 333)]
    [InlineData(1400, 1300, 310, 333)]
    [InlineData(1400, 310, 333, 1300)]
    public void Sequences_of_any_lengths_attended_together_have_the_bits_of_each_alone(int groupSize, params int[] lengths)
    {
        S2Config config = Config(1400, groupSize, 5, 2, 24);
        int row = config.Heads * config.HeadDim, kvRow = config.KvHeads * config.HeadDim;
        using KeyValueCache<float> cache = new(config, new() { Sequences = lengths.Length, MaxChunk = 300, Threads = 2 });
        for (int i = 0; i < lengths.Length; i++)
            cache.Append(Noise(lengths[i] * kvRow, i), Noise(lengths[i] * kvRow, 10 + i), i);
        foreach (int tokens in new[] { 1, 3, 20, 300 })
        {
            float[] query = Noise(lengths.Length * tokens * row, 20), together = new float[query.Length], lse = new float[query.Length / config.HeadDim];
            cache.Attend(query, together, lse);
            for (int i = 0; i < lengths.Length; i++)
            {
                float[] alone = new float[tokens * row], aloneLse = new float[tokens * config.Heads];
                cache.Attend(query.AsSpan(i * alone.Length, alone.Length), alone, aloneLse, i);
                Assert.Equal(alone, together.AsSpan(i * alone.Length, alone.Length));
                Assert.Equal(aloneLse, lse.AsSpan(i * aloneLse.Length, aloneLse.Length));
            }
        }
    }

    /// <summary>A step and a chunk alike: what comes while a call is under way ends it or is refused.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    public void A_call_under_way_is_cancelled_and_lets_no_other_in(int tokens)
    {
        S2Config config = Config(64, 16, 5, 2, 8);
        Within within = new();
        using CancellationTokenSource source = new();
        using KeyValueCache<float> cache = new(config, new() { MaxChunk = 20, Threads = 2, Scheduler = within });
        float[] rows = Noise(64 * 2 * 8, 1), query = Noise(tokens * 4 * 8, 2), output = new float[query.Length], other = new float[query.Length];
        cache.Append(rows, rows);
        within.Inside = () =>
        {
            Assert.Throws<InvalidOperationException>(() => cache.Reset(0));
            Assert.Throws<InvalidOperationException>(() => cache.Append(rows, rows));
            Assert.Throws<InvalidOperationException>(() => cache.Attend(query, other));
        };
        cache.Attend(query, output);
        Assert.Equal(64, cache.LengthOf(0));
        Assert.Equal(2, within.Workers);
        within.Inside = source.Cancel;
        Assert.Throws<OperationCanceledException>(() => cache.Attend(query, output, cancellation: source.Token));

        // What was cancelled before does not begin.
        within.Inside = () => Assert.Fail("The workers began.");
        Assert.Throws<OperationCanceledException>(() => cache.Attend(query, output, cancellation: source.Token));
    }

    // Does something before the workers begin.
    private sealed class Within : IWorkScheduler
    {
        public Action Inside { get; set; } = () => { };

        public int Workers { get; private set; }

        public void Run(int workers, Action<int> body)
        {
            Workers = workers;
            Inside();
            for (int worker = 0; worker < workers; worker++)
                body(worker);
        }
    }

    private static float[] Noise(int length, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, length).Select(_ => 2 * random.NextSingle() - 1)];
    }

    private static S2Config Config(int tokens, int groupSize, int shift, int kvHeads, int dim) => S2Config.Create(new()
    {
        Tokens = tokens,
        Heads = 4,
        KvHeads = kvHeads,
        HeadDim = dim,
        GroupSize = GroupSizeRule.Of(groupSize),
        Shift = shift,
        Mask = MaskPolicy.Split,
    });
}
