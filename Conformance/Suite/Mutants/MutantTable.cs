// Which property finds which mutant? The table of docs/mutants.md.
using System.Collections.Immutable;
using System.Text;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;

namespace S2Attn.Conformance.Mutants;

/// <summary>The catalogue and the table mutant x property in Markdown.</summary>
public static class MutantTable
{
    /// <summary>Cases for each pair: a twelfth of the default run, at short borders, so that an empty place says "seldom", not "never".</summary>
    public static SuiteOptions Options { get; } = new() { Cases = 8, MaxBorder = 64 };

    /// <summary>The defects and what their authors are told.</summary>
    public static string Catalogue()
    {
        StringBuilder text = new("| mutant | defect | what its author is told | seen in |\n| --- | --- | --- | --- |\n");
        foreach (Mutant mutant in MutantCatalogue.All)
            text.Append(null, $"| {mutant.Name} | {mutant.Defect} | {mutant.Fix} | {mutant.SeenIn} |\n");
        return text.ToString();
    }

    /// <summary>One row for each mutant that was seen in code that people use, one column for each property; x where the property fails.</summary>
    public static string Matrix()
    {
        ImmutableArray<Property> properties = PropertyCatalogue.All;
        MutantResult[] results = [.. MutationRun.Through(Options, [.. MutantCatalogue.All.Where(mutant => mutant.IsSeen)])];
        StringBuilder text = new("| mutant | ");
        text.AppendJoin(" | ", Enumerable.Range(1, properties.Length)).Append(" |\n| --- |").Insert(text.Length, " --- |", properties.Length).Append('\n');
        foreach (MutantResult result in results)
            text.Append(null, $"| {result.Mutant.Name} | ").AppendJoin(" | ", properties.Select(property => result.KilledBy.Contains(property.Name) ? "x" : " ")).Append(" |\n");
        text.Append("\n| column | property | mutants that it kills |\n| --- | --- | --- |\n");
        for (int i = 0; i < properties.Length; i++)
            text.Append(null, $"| {i + 1} | {properties[i].Name} | {results.Count(result => result.KilledBy.Contains(properties[i].Name))} |\n");
        return text.ToString();
    }
}
