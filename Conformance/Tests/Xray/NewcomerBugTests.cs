// Does one X-ray at one size say where the mistake of a newcomer is, though the catalogue has no name for it?
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Xray;

public sealed class NewcomerBugTests
{
    private const string Right = "equals the definition", EntryOne = "batch entry 1", EntryZero = "batch entry 0", Shifted = "in the shifted heads", HeadZero = "in head 0";

    /// <summary>Both were met in ports of strangers: one size had a single sequence, and heads were told by their numbers alone.</summary>
    [RequiresToolTheory("python3")]
    [InlineData("right", 0, Right, EntryOne)]
    [InlineData("unshift-missing-in-entry-1", 1, EntryOne, EntryZero)]
    [InlineData("unshift-missing-in-entry-0", 1, EntryZero, EntryOne)]
    [InlineData("scale-twice-in-shifted-heads", 1, Shifted, HeadZero)]
    [InlineData("scale-twice-in-head-0", 1, HeadZero, Shifted)]
    public void One_size_says_in_which_entries_or_heads_it_is(string name, int exitCode, string said, string notSaid)
    {
        string script = Path.Combine(Repository.Root, "Conformance", "Tests", "Xray", "newcomer_ports.py");
        string port = $"{PortTool.PythonWithNumpy} '{script}' '{SamplePortTests.Sample("numpy", "numpy_port.py")}' {name}";
        (int code, string words) = PortTool.Run("dotnet", [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), "xray", "--port", port, "--only"]);
        Assert.True(code == exitCode, $"exit code {code}\n{words}");
        Assert.Contains(said, words, StringComparison.Ordinal);
        Assert.Equal(name == "right", words.Contains(Right, StringComparison.Ordinal));

        // The drawing names every entry and head; a sentence names those that are wrong, each sentence.
        string[] sentences = [.. words.Split('\n').Where(line => line.StartsWith("- ", StringComparison.Ordinal))];
        Assert.Equal(name == "right", sentences.Length == 0);
        Assert.All(sentences, sentence => Assert.Contains(said, sentence, StringComparison.Ordinal));
        Assert.DoesNotContain(sentences, sentence => sentence.Contains(notSaid, StringComparison.Ordinal));
    }
}
