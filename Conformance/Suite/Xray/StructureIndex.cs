// Which compositions of forward defects read v at equal scores as a film shows, without trying them all again for every film?
using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>
/// At each probed size but the long ones all compositions are sorted into classes that read alike, once; a film is then held against one composition of each class that reads the same rows of v,
/// and at long sizes what they read is compared where it is asked for. Made for runs that look through many ports at the same sizes: making it costs a minute, and a look at one port some hundredths of a second.
/// </summary>
internal sealed class StructureIndex(ImmutableArray<Composition> compositions)
{
    // Where a text is long every composition would cost more than at all other sizes together, and few get there.
    private const int MostMeetings = 1 << 13;

    private readonly Dictionary<XrayProbe, Classes> classes = new(ReferenceEqualityComparer.Instance);

    // What compositions read where a text is long, each when it is asked for.
    private readonly Dictionary<XrayProbe, ConcurrentDictionary<Composition, (ulong, ulong)>> longReads = new(ReferenceEqualityComparer.Instance);

    // Whether what reads the second shows as the first does there.
    private readonly ConcurrentDictionary<((ulong, ulong) Shown, (ulong, ulong) Read), (bool WhereKeysAreSeen, bool Even)> longSeen = [];

    // What every row reads by a composition; none where that does not tell all.
    private readonly Dictionary<XrayProbe, ConcurrentDictionary<Composition, (ulong, ulong)?>> readings = new(ReferenceEqualityComparer.Instance);

    // The compositions of so many defects that explain what is seen of one without padding.
    private readonly ConcurrentDictionary<(string Source, int Defects), ImmutableArray<Composition>> explaining = [];

    private readonly FrozenDictionary<Composition, int> places = compositions.Select((composition, i) => (composition, i)).ToFrozenDictionary(item => item.composition, item => item.i, SameDefects.Instance);

    /// <summary>The compositions of so many defects that explain what a source shows without padding, looked for once for all films that show the same of it.</summary>
    public ImmutableArray<Composition> Explaining(Composition source, int defects, Func<ImmutableArray<Composition>> find) => explaining.GetOrAdd((source.Name, defects), _ => find());

    /// <summary>Whether every row reads the same by two compositions, so that they answer every question of a probe alike but for the logsumexp and the backward pass.</summary>
    public bool ReadAlike(Composition first, Composition second, XrayProbe probe) => Reading(first, probe) is { } reading && reading == Reading(second, probe);

    private (ulong, ulong)? Reading(Composition composition, XrayProbe probe)
    {
        ConcurrentDictionary<Composition, (ulong, ulong)?>? known;
        lock (readings)
        {
            if (!readings.TryGetValue(probe, out known))
                readings.Add(probe, known = new(SameDefects.Instance));
        }

        return known.GetOrAdd(composition, made =>
        {
            ImmutableArray<long> numbers = new PipelineAttention(probe.Config, new Pipeline(probe.Config, probe.Valid, made.Build())).Reading();
            return numbers.IsEmpty ? null : Hashed((0, 1), MemoryMarshal.Cast<long, double>(numbers.AsSpan()));
        });
    }

    /// <summary>The compositions that read as every film shows, in their order, and whether that is so for rows without keys too.</summary>
    /// <param name="films">The films.</param>
    /// <param name="source">What the films show, where that is known to be one composition: what was found of it need not be looked for again.</param>
    public IEnumerable<(Composition Composition, bool EvenEmptyRows)> Matching(ImmutableArray<XrayFilm> films, Composition? source)
    {
        int? known = source is not null && places.TryGetValue(source, out int place) ? place : null;
        var matches = films.Where(film => !IsLong(film.Probe)).Select(film => (Classes: Of(film.Probe), Matched: Of(film.Probe).Match(film, known))).ToArray();
        XrayFilm[] rest = [.. films.Where(film => IsLong(film.Probe))];
        foreach (int i in Enumerable.Range(0, compositions.Length).Where(i => Array.TrueForAll(matches, match => match.Matched.Contains(match.Classes.ClassOf[i]))))
        {
            (bool WhereKeysAreSeen, bool Even)[] sees = [.. rest.Select(film => known is { } own ? SeesLong(own, i, film) : Sees(i, film))];
            if (Array.TrueForAll(sees, seen => seen.WhereKeysAreSeen))
                yield return (compositions[i], Array.TrueForAll(matches, match => !match.Classes.HasEmptyRows(i)) && Array.TrueForAll(sees, seen => seen.Even));
        }
    }

    private (bool WhereKeysAreSeen, bool Even) Sees(int composition, XrayFilm film) => new Prediction(film, compositions[composition].Build()).Sees();

    // The same for a film that shows an indexed composition: what reads alike is held against each other once.
    private (bool WhereKeysAreSeen, bool Even) SeesLong(int shown, int composition, XrayFilm film)
    {
        if (shown == composition)
            return (true, true);
        ((ulong, ulong), (ulong, ulong)) pair = (LongReads(compositions[shown], film.Probe), LongReads(compositions[composition], film.Probe));
        return pair.Item1 == pair.Item2 ? (true, true) : longSeen.GetOrAdd(pair, _ => Sees(composition, film));
    }

    private (ulong, ulong) LongReads(Composition composition, XrayProbe probe)
    {
        ConcurrentDictionary<Composition, (ulong, ulong)>? reads;
        lock (longReads)
        {
            if (!longReads.TryGetValue(probe, out reads))
                longReads.Add(probe, reads = new(ReferenceEqualityComparer.Instance));
        }

        return reads.GetOrAdd(composition, made =>
        {
            PipelineAttention attention = new(probe.Config, new Pipeline(probe.Config, probe.Valid, made.Build()));
            (ulong, ulong) read = (0, 1);
            double[] weights = new double[probe.Sources];
            for (int row = 0; row < probe.Rows; row++)
            {
                attention.EqualWeights(row, weights);
                read = Hashed(read, weights);
            }

            return read;
        });
    }

    private static (ulong, ulong) Hashed((ulong Exact, ulong Other) before, ReadOnlySpan<double> weights)
    {
        foreach (ulong bits in MemoryMarshal.Cast<double, ulong>(weights))
            before = (Mix(before.Exact ^ bits), Mix(before.Other + bits));
        return before;
    }

    // As splitmix64 does.
    private static ulong Mix(ulong value)
    {
        value = (value + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }

    private static bool IsLong(XrayProbe probe) => probe.Rows * probe.Config.Tokens > MostMeetings;

    private Classes Of(XrayProbe probe)
    {
        lock (classes)
        {
            if (!classes.TryGetValue(probe, out Classes? known))
                classes.Add(probe, known = new(probe, compositions));
            return known;
        }
    }

    // A measured shift has one name whatever was measured.
    private sealed class SameDefects : IEqualityComparer<Composition>
    {
        public static SameDefects Instance { get; } = new();

        public bool Equals(Composition? first, Composition? second) => Enumerable.SequenceEqual<Defect>(first!.Defects, second!.Defects, ReferenceEqualityComparer.Instance);

        public int GetHashCode(Composition composition) => composition.Defects.Aggregate(0, (before, defect) => HashCode.Combine(before, RuntimeHelpers.GetHashCode(defect)));
    }

    private sealed class Classes
    {
        private readonly ImmutableArray<Composition> compositions;
        private readonly List<(int First, bool HasEmptyRows)> all = [];
        private readonly Dictionary<ulong, List<int>> byRowsRead = [];
        // What their rows read, each by itself; 0 for a row that reads nothing.
        private readonly List<(int Class, ulong[] Rows)> withEmptyRows = [];
        private readonly XrayProbe probe;

        // What films of each class match.
        private readonly ConcurrentDictionary<int, HashSet<int>> matched = [];

        public Classes(XrayProbe probe, ImmutableArray<Composition> compositions)
        {
            (this.probe, this.compositions) = (probe, compositions);
            ClassOf = new int[compositions.Length];
            Dictionary<(ulong, ulong), int> byWeights = [];
            double[] weights = new double[probe.Sources];
            ulong[] rows = new ulong[probe.Rows];
            for (int i = 0; i < compositions.Length; i++)
            {
                PipelineAttention attention = new(probe.Config, new Pipeline(probe.Config, probe.Valid, compositions[i].Build()));
                ulong read = 0;
                (ulong, ulong) exact = (0, 1);
                bool empty = false;
                for (int row = 0; row < probe.Rows; row++)
                {
                    attention.EqualWeights(row, weights);
                    bool readsNothing = !weights.AsSpan().ContainsAnyExcept(0.0);
                    empty |= readsNothing;
                    rows[row] = readsNothing ? 0 : Reads(0, weights);
                    read = Mix(read ^ Reads(0, weights));
                    exact = Hashed(exact, weights);
                }

                if (!byWeights.TryGetValue(exact, out ClassOf[i]))
                {
                    ClassOf[i] = all.Count;
                    byWeights.Add(exact, all.Count);
                    if (empty)
                        withEmptyRows.Add((all.Count, [.. rows]));
                    else if (byRowsRead.TryGetValue(read, out List<int>? alike))
                        alike.Add(all.Count);
                    else
                        byRowsRead.Add(read, [all.Count]);
                    all.Add((i, empty));
                }
            }
        }

        public int[] ClassOf { get; }

        public bool HasEmptyRows(int composition) => all[ClassOf[composition]].HasEmptyRows;

        /// <summary>The classes that read as a film shows; of one that shows an indexed composition by the film of its class.</summary>
        public HashSet<int> Match(XrayFilm film, int? source) =>
            source is { } known ? matched.GetOrAdd(ClassOf[known], own => Match(XrayFilm.Of(probe, compositions[all[own].First]))) : Match(film);

        private HashSet<int> Match(XrayFilm film)
        {
            ulong[] rows = new ulong[film.Probe.Rows];
            ulong read = 0;
            for (int row = 0; row < rows.Length; row++)
            {
                rows[row] = Reads(0, film.Equal.Elements.Slice(row * film.Probe.Sources, film.Probe.Sources));
                read = Mix(read ^ rows[row]);
            }

            return
            [
                .. byRowsRead.GetValueOrDefault(read, []).Concat(withEmptyRows.Where(known => ReadAlike(known.Rows, rows)).Select(known => known.Class))
                    .Where(index => new Prediction(film, compositions[all[index].First].Build()).Sees().WhereKeysAreSeen),
            ];
        }

        // Wherever the first reads anything.
        private static bool ReadAlike(ulong[] some, ulong[] rows)
        {
            for (int row = 0; row < rows.Length; row++)
                if (some[row] != 0 && some[row] != rows[row])
                    return false;
            return true;
        }

        private static ulong Reads(ulong before, ReadOnlySpan<double> weights)
        {
            for (int i = 0; i < weights.Length; i++)
                if (VisibilityMap.IsSomething(weights[i]))
                    before = Mix(before ^ (uint)i);
            return Mix(before);
        }
    }
}
