// Of which defects is a port suspected, and which of them are seen in which answers?
using System.Collections.Immutable;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>Some defects, sorted by the answers in which they are seen: all of the catalogue, or all but some, to see what is said of a mistake that has no name.</summary>
internal sealed class Suspects
{
    /// <summary>With how many other defects a cut where it was asked for is tried.</summary>
    public const int MostBesideCut = 2;

    private readonly ImmutableArray<Defect> all;
    private readonly Lazy<ImmutableArray<Composition>> pairs, hiddenInSoftmax;
    private readonly ImmutableArray<Lazy<ImmutableArray<Composition>>> cutBeside;

    private Suspects(ImmutableArray<Defect> all)
    {
        this.all = all;
        Structure = [.. all.Where(defect => !defect.NeedsPadding && !defect.IsBackward && defect.Stage is not Stage.LogSum)];
        Padding = [.. all.Where(defect => defect.NeedsPadding)];
        EmptyRows = [.. all.Where(defect => defect.Stage is Stage.Empty)];
        Scales = [.. all.Where(defect => defect.Stage is Stage.Scale)];
        LogSum = [.. all.Where(defect => defect.Stage is Stage.LogSum)];
        Backward = [.. all.Where(defect => defect.IsBackward)];
        pairs = new(() => [.. SetsOf(Structure, 2)]);
        hiddenInSoftmax = new(() => [.. Structure.Where(defect => defect.Stage is Stage.Softmax).SelectMany(softmax => EmptyRows.SelectMany(empty => Joined(Composition.Of(softmax), Composition.Of(empty))))]);
        cutBeside = [.. Enumerable.Range(0, MostBesideCut + 1).Select(defects => new Lazy<ImmutableArray<Composition>>(() => defects == 0 ? [] :
        [
            .. Sets(Structure, defects).Where(composition => composition.Defects.Any(defect => defect.Stage is >= Stage.Heads and <= Stage.Rolled))
                .SelectMany(composition => Joined(composition, Composition.Of(DefectCatalogue.CutWhereAsked))),
        ]))];
    }

    /// <summary>Every defect that shows in a text.</summary>
    public static Suspects All { get; } = new(DefectCatalogue.All);

    /// <summary>What is seen without padding.</summary>
    public ImmutableArray<Defect> Structure { get; }

    /// <summary>What padding changes.</summary>
    public ImmutableArray<Defect> Padding { get; }

    /// <summary>What rows without keys are.</summary>
    public ImmutableArray<Defect> EmptyRows { get; }

    /// <summary>Factors of q.k.</summary>
    public ImmutableArray<Defect> Scales { get; }

    /// <summary>What the logsumexp alone shows.</summary>
    public ImmutableArray<Defect> LogSum { get; }

    /// <summary>What the gradients alone show.</summary>
    public ImmutableArray<Defect> Backward { get; }

    /// <summary>A softmax over more than the keys that are seen depends, in rows with keys too, on how the others are hidden.</summary>
    public ImmutableArray<Composition> HiddenInSoftmax => hiddenInSoftmax.Value;

    /// <summary>The same without some.</summary>
    public Suspects Without(IEnumerable<Defect> others) => new([.. all.Except(others)]);

    /// <summary>Whether no defect of the catalogue is in a composition that is none of these.</summary>
    public bool Hold(Composition composition) => composition.Defects.All(defect => all.Contains(defect) || !DefectCatalogue.All.Contains(defect));

    /// <summary>A mask that cuts where it should beside so many others, one of which changes the roll.</summary>
    public ImmutableArray<Composition> CutBeside(int defects) => cutBeside[defects].Value;

    /// <summary>Every set of so many of some of these, of different stages, in the order of the catalogue; of three, two at least such as people's code has: all threes would take a minute.</summary>
    public IEnumerable<Composition> Sets(ImmutableArray<Defect> defects, int size) => (defects == Structure, size) switch
    {
        (true, 2) => pairs.Value,
        (true, > 2) => From(defects, 0, size, size - 2, []),
        _ => SetsOf(defects, size),
    };

    /// <summary>Every set of so many defects of different stages, in their order.</summary>
    public static IEnumerable<Composition> SetsOf(ImmutableArray<Defect> defects, int size) => From(defects, 0, size, size, []);

    /// <summary>Both together; nothing where two defects are of one stage.</summary>
    public static IEnumerable<Composition> Joined(Composition structure, Composition more) =>
        more.Defects.IsEmpty ? [structure] : Composition.TryOf(structure.Defects.Concat(more.Defects), out Composition joined) ? [joined] : [];

    // Of those left, so many may be made up: a set that is not wanted is not begun.
    private static IEnumerable<Composition> From(ImmutableArray<Defect> defects, int start, int left, int madeUp, ImmutableArray<Defect> chosen)
    {
        if (left == 0)
        {
            yield return Composition.Of(chosen);
            yield break;
        }

        for (int i = start; i < defects.Length; i++)
        {
            Defect next = defects[i];
            int stillMadeUp = next.IsSeen ? madeUp : madeUp - 1;
            if (stillMadeUp < 0 || HasStage(chosen, next.Stage))
                continue;
            foreach (Composition composition in From(defects, i + 1, left - 1, stillMadeUp, chosen.Add(next)))
                yield return composition;
        }
    }

    private static bool HasStage(ImmutableArray<Defect> chosen, Stage stage)
    {
        foreach (Defect defect in chosen)
            if (defect.Stage == stage)
                return true;
        return false;
    }
}
