// Which defects of which stage are there?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>Every known way in which a stage of S2-Attn goes wrong. Profiles, mutants, the X-ray's suspects and the advice in reports are views of it.</summary>
public static class DefectCatalogue
{
    /// <summary>All defects that show in a text.</summary>
    public static ImmutableArray<Defect> All { get; } = [.. ShiftDefects.All, .. PositionDefects.All, .. LayoutDefects.All, .. AxisDefects.All, .. MaskDefects.All, .. ReachDefects.All, .. SoftmaxDefects.All, .. GradientDefects.All];

    /// <summary>All defects that only show where tokens stand on several axes.</summary>
    public static ImmutableArray<Defect> OfGrids { get; } = GridDefects.All;

    /// <summary>All defects that only show where the text has a prefix.</summary>
    public static ImmutableArray<Defect> OfPrefixes { get; } = PrefixDefects.All;

    /// <summary>All defects, wherever they show.</summary>
    public static ImmutableArray<Defect> Anywhere { get; } = [.. All, .. OfGrids, .. OfPrefixes];

    /// <summary>Every two defects of different stages that show in a text.</summary>
    public static IEnumerable<Composition> Pairs => PairsOf(All);

    /// <summary>Every two defects of different stages that only show where tokens stand on several axes.</summary>
    public static IEnumerable<Composition> PairsOfGrids => PairsOf(OfGrids);

    /// <summary>Every two defects of different stages that only show where the text has a prefix.</summary>
    public static IEnumerable<Composition> PairsOfPrefixes => PairsOf(OfPrefixes);

    /// <summary>A shift that follows no known rule: a defect beside the catalogue, made from what was measured.</summary>
    /// <param name="amount">The shift by configuration.</param>
    /// <param name="measured">The same in words.</param>
    public static Defect AnotherShift(Func<S2Config, int> amount, string measured)
    {
        ArgumentNullException.ThrowIfNull(amount);
        return ShiftDefects.Measured(amount, measured);
    }

    /// <summary>A mask that cuts the wrapped run at token S whatever the roll does: the definition alone, and so beside the catalogue; with a wrong roll it is something else than what that roll's own mask gives.</summary>
    public static Defect CutWhereAsked => MaskDefects.CutWhereAsked;

    /// <summary>The defect of a name, or of one of its other names.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static Defect Named(string name) => All.FirstOrDefault(defect => defect.Name == name || defect.Aliases.Contains(name))
        ?? throw new ArgumentException($"{name}: the defects are {string.Join(", ", All)}.", nameof(name));

    private static IEnumerable<Composition> PairsOf(ImmutableArray<Defect> defects) =>
        from i in Enumerable.Range(0, defects.Length)
        from j in Enumerable.Range(i + 1, defects.Length - i - 1)
        where defects[i].Stage != defects[j].Stage
        select Composition.Of(defects[i], defects[j]);
}
