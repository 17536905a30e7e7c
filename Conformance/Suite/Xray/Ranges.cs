// How are sets of numbers written for people?
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>Sets of rows, heads and keys as text: "2..3", "0, 4..7".</summary>
public static class Ranges
{
    /// <summary>The numbers in increasing order, runs joined.</summary>
    public static string Of(IEnumerable<int> numbers)
    {
        List<(int First, int Last)> runs = [];
        foreach (int number in numbers.Distinct().Order())
            if (runs.Count > 0 && runs[^1].Last == number - 1)
                runs[^1] = (runs[^1].First, number);
            else
                runs.Add((number, number));
        return string.Join(", ", runs.Select(run => run.First == run.Last ? $"{run.First}" : $"{run.First}..{run.Last}"));
    }

    /// <summary>The index of a vector: "[0,3,1]".</summary>
    public static string Of(Place place) => $"[{place.Batch},{place.Token},{place.Head}]";

    /// <summary>"head 3", "heads 2..3".</summary>
    public static string Of(string one, IEnumerable<int> numbers)
    {
        int[] all = [.. numbers.Distinct()];
        return $"{one}{(all.Length == 1 ? "" : "s")} {Of(all)}";
    }
}
