// Does the X-ray name a bug that a newcomer wrote into the sample port, from one size alone?
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Xray;

public sealed class StrangerBugTests
{
    private const string Out = "            o[b, t, h] = weights @ v[b, keys, kv]\n";
    private const string Score = "weights, lse[b, t, h] = softmax(config[\"scale\"] * (";

    [RequiresToolTheory("python3")]
    [InlineData(
        "o[b, (t - (config[\"shift\"] if is_shifted(config, h) else 0)) % config[\"tokens\"], h] = weights @ v[b, keys, kv]", "", "batch entry 1", "sees the keys of the definition",
        "the un-shift is missing in every entry but the first")]
    [InlineData("", "weights, lse[b, t, h] = softmax((config[\"scale\"] ** 2 if is_shifted(config, h) else config[\"scale\"]) * (", "in the shifted heads", "in heads 0", "the scale is taken twice in the shifted heads")]
    public void One_size_is_enough(string output, string score, string said, string notSaid, string bug) => SamplePortTests.InTemporary(directory =>
    {
        string sample = File.ReadAllText(Path.Combine(Repository.Root, "Conformance", "Ports", "numpy", "numpy_port.py"));
        Assert.Contains(Out, sample, StringComparison.Ordinal);
        Assert.Contains(Score, sample, StringComparison.Ordinal);
        if (output.Length > 0)
            sample = sample.Replace(Out, $"            if b == 1:\n                {output}\n            else:\n    {Out}", StringComparison.Ordinal);
        if (score.Length > 0)
            sample = sample.Replace(Score, score, StringComparison.Ordinal);
        string[] parts = sample.Split("def forward(", 2);
        string path = Path.Combine(directory, "port.py");
        File.WriteAllText(path, $"{parts[0]}def is_shifted(config, head):\n    which = config[\"shiftedHeads\"]\n    return which == \"All\" or (which == \"SecondHalf\" and head >= config[\"heads\"] // 2) or (not isinstance(which, str) and which[head])\n\n\ndef forward({parts[1]}");
        (int code, string words) = PortTool.Run("dotnet", [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), "xray", "--port", $"python3 '{path}'", "--only"], directory);
        Assert.True(code == 1 && words.Contains(said, StringComparison.Ordinal) && !words.Contains(notSaid, StringComparison.Ordinal), $"{bug}: exit code {code}\n{words}");
    });
}
