// The catalogue of theorems as the Markdown table that README and docs show.
using System.Text;
using S2Attn.Spec;

namespace S2Attn.Conformance.Reports;

/// <summary>Renders <see cref="Theorems.Catalogue"/>.</summary>
public static class TheoremTable
{
    /// <summary>One row for each statement: number, name, statement, region, and the smallest counterexample of a false claim.</summary>
    /// <param name="maxTokens">How far to search for counterexamples.</param>
    public static string Markdown(int maxTokens = 12)
    {
        StringBuilder table = new("| no. | name | statement | region | holds |\n| --- | --- | --- | --- | --- |\n");
        foreach (Theorem theorem in Theorems.Catalogue)
        {
            string holds = theorem.IsTrue ? "yes" : $"false: {SmallestCounterexample(theorem, maxTokens)}";
            table.Append(System.Globalization.CultureInfo.InvariantCulture, $"| {theorem.Number} | {theorem.Name} | {Escape(theorem.Statement)} | {Escape(theorem.Region)} | {holds} |\n");
        }

        return table.ToString();
    }

    private static Witness SmallestCounterexample(Theorem theorem, int maxTokens)
    {
        foreach ((int n, int g, int s) in theorem.SizesUpTo(maxTokens))
            if (theorem.TryRefute(n, g, s, out Witness witness))
                return witness;
        throw new InvalidOperationException($"{theorem} is declared false but holds up to N = {maxTokens}.");
    }

    private static string Escape(string text) => text.Replace("|", "\\|", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal);
}
