// s2attn xray: what does a port really compute? Its visibility drawn beside the definition's, in words, and by name.
using System.CommandLine;
using System.Text;
using S2Attn.Cli.Rendering;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Validation;
using S2Attn.Conformance.Xray;
using S2Attn.Spec;

namespace S2Attn.Cli;

internal static class XrayCommand
{
    private const int NotTheDefinition = 1, BadUsage = 2;

    public static Command Create()
    {
        Option<int?> batch = Size("--batch", "B, sequences in the batch."), tokens = Size("--tokens", "N, tokens."), groupSize = Size("--group-size", "G, tokens of a group."),
            shift = Size("--shift", "S, by how many tokens shifted heads are shifted; G / 2 where not given."), heads = Size("--heads", "H, query heads."),
            kvHeads = Size("--kv-heads", "K, key/value heads."), headDim = Size("--head-dim", "D, elements of a vector; wide vectors need fewer calls.");
        Option<double?> scale = new("--scale") { Description = "Factor of the scores; 1 / sqrt(D) where not given.", HelpName = "NUMBER" };
        Option<MaskPolicy?> mask = new("--mask") { Description = $"The mask that is asked for: {string.Join(", ", MaskPolicies.All)}. The first that the port declares where not given.", HelpName = "MASK" };
        Option<string?> shifted = new("--shifted-heads") { Description = "None, SecondHalf, All, or one 0 or 1 for each head, as 0011.", HelpName = "HEADS" };
        Option<bool> only = new("--only") { Description = "Look at this size alone. Else further sizes are probed, and without --mask every mask that the port declares, to tell defects apart that look the same at one." };
        Option<bool> json = new("--json") { Description = "Write the result to stdout as JSON." };
        Option<FileInfo?> svg = new("--svg") { Description = "Draw the size that was asked for into this file too, with what was found in words.", HelpName = "FILE" };
        Command command = new(
            "xray",
            "Show what a port computes: which keys each query sees, beside the definition, which bug that is, and how to fix it. Exit code: 0 equals the definition, 1 does not, 2 bad usage or input.")
        {
            mask, batch, tokens, groupSize, shift, heads, kvHeads, headDim, scale, shifted, only, json, svg,
        };
        PortOptions ports = new(command);
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                try
                {
                    if (parsed.GetValue(svg) is { } picture)
                        ReportFiles.Try("--svg", picture.FullName, WholeFile.CheckWritable);
                    using IAttentionPort port = ports.Open(parsed);
                    PortCapabilities capabilities = port.Description.Capabilities;
                    if (!capabilities.Fixed.Axes.IsEmpty)
                        return parsed.GetValue(svg) is null && !parsed.GetValue(json)
                            ? ShowGrids(port, cancellation)
                            : throw new FormatException("--svg and --json: of a port whose axes are fixed there is no picture, only words; leave them out");
                    S2Request fitting = Xrays.Fitting(capabilities, MaskOf(capabilities, parsed.GetValue(mask)));
                    S2Request request = fitting with
                    {
                        Batch = parsed.GetValue(batch) ?? fitting.Batch,
                        Tokens = parsed.GetValue(tokens) ?? fitting.Tokens,
                        GroupSize = parsed.GetValue(groupSize) is { } g ? GroupSizeRule.Of(g) : fitting.GroupSize,
                        Shift = parsed.GetValue(shift) ?? (parsed.GetValue(groupSize) is null ? fitting.Shift : null),
                        Heads = parsed.GetValue(heads) ?? fitting.Heads,
                        KvHeads = parsed.GetValue(kvHeads) ?? (parsed.GetValue(heads) is null ? fitting.KvHeads : null),
                        Scale = parsed.GetValue(scale) ?? fitting.Scale,
                        ShiftedHeads = parsed.GetValue(shifted) is { } text ? Heads(text) : fitting.ShiftedHeads,
                    };
                    request = parsed.GetValue(headDim) is { } dim ? request with { HeadDim = dim } : Xrays.Widened(capabilities, request);
                    S2Config config = S2Config.TryCreate(request) switch
                    {
                        ConfigResult.Valid valid => valid.Config,
                        var invalid => throw new FormatException($"{invalid}"),
                    };
                    if (!CaseBudget.Holds(config))
                        throw new FormatException($"{config.Batch} * {config.Tokens} tokens * {config.Heads} heads * {config.HeadDim} in groups of {config.GroupSize} is too large: {CaseBudget.Rule}");
                    var probes = Xrays.Probes(capabilities, parsed.GetValue(mask) is null ? capabilities.Masks : [], config);
                    XrayReport report = Xrays.Take(port, parsed.GetValue(only) ? probes[..1] : probes, cancellation);
                    if (parsed.GetValue(svg) is { } file)
                        WholeFile.Write(file.FullName, Encoding.UTF8.GetBytes(XraySvg.Write(report)));
                    if (parsed.GetValue(json))
                        Console.Write(XrayJson.Write(report));
                    else
                        XrayView.Show(report);
                    return report.IsDefinition ? 0 : NotTheDefinition;
                }
                catch (XrayFailedException error)
                {
                    Console.Error.WriteLine(cancellation.IsCancellationRequested ? "s2attn: stopped" : $"s2attn: the port gave no tensors to look at: {error.Message}");
                    return NotTheDefinition;
                }
                catch (OperationCanceledException)
                {
                    Console.Error.WriteLine("s2attn: stopped");
                    return NotTheDefinition;
                }
                catch (Exception error) when (error is PortStartException or FormatException or TroubleException or IOException or UnauthorizedAccessException)
                {
                    Console.Error.WriteLine($"s2attn: {error.Message}");
                    return BadUsage;
                }
            },
            CancellationToken.None));
        return command;
    }

    // A port whose axes are built in has no other size, and no picture of a text.
    private static int ShowGrids(IAttentionPort port, CancellationToken cancellation)
    {
        PartFinding finding = Xrays.FindGrids(port, cancellation);
        foreach (string sentence in finding.Sentences(port.Description.Name))
            Console.WriteLine(sentence);
        return finding.IsDefinition ? 0 : NotTheDefinition;
    }

    private static Option<int?> Size(string name, string description) => new(name) { Description = description, HelpName = "NUMBER" };

    private static MaskPolicy MaskOf(PortCapabilities capabilities, MaskPolicy? wanted) =>
        capabilities.Masks.IsEmpty ? throw new FormatException("the port declares no mask")
        : wanted is { } mask && !capabilities.Masks.Contains(mask) ? throw new FormatException($"--mask {mask}: the port declares {string.Join(", ", capabilities.Masks)}")
        : wanted ?? capabilities.Masks[0];

    private static HeadShift Heads(string text) => text switch
    {
        "None" => HeadShift.None,
        "SecondHalf" => HeadShift.SecondHalf,
        "All" => HeadShift.All,
        _ when text.All(sign => sign is '0' or '1') => HeadShift.Of(text.Select(sign => sign == '1')),
        _ => throw new FormatException($"--shifted-heads {text}: must be None, SecondHalf, All, or one 0 or 1 for each head"),
    };
}
