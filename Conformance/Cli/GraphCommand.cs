// s2attn graph: writes S2-Attn as an ONNX model.
using System.CommandLine;
using System.Globalization;
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Cli;

internal static class GraphCommand
{
    private const int MostThreads = 4096;

    public static Command Create()
    {
        Option<MaskPolicy> mask = new("--mask") { Description = "LocalCausal or Split; any with --custom-op.", Required = true };
        Option<int?> groupSize = new("--group-size") { Description = "G, tokens of a group; needed unless there are axes." };
        Option<int?> shift = new("--shift") { Description = "S, by how many tokens the second half of the heads is shifted; G / 2 where not given." };
        Option<int?> phases = new("--phases") { Description = "Instead of the second half: so many phases of heads, with --custom-op." };
        Option<bool> rotated = new("--rotated") { Description = "With --phases: half a step more." };
        Option<string[]> axes = new("--axis") { Description = "Instead of --group-size: tokens stand on several axes. Once for each, the slowest first, as N/G or N/G/S, S is G / 2 where not given; with --custom-op.", HelpName = "N/G/S", AllowMultipleArgumentsPerToken = true };
        Option<string> shifted = new("--shifted-heads") { Description = "With --axis: None, SecondHalf or All heads shift.", HelpName = "HEADS", DefaultValueFactory = _ => "SecondHalf" };
        Option<int> prefix = new("--prefix") { Description = "P: the first P tokens are keys of every query (attention sinks). Not with --axis.", HelpName = "P" };
        Option<bool> whole = new("--whole-prefix") { Description = "With --prefix: its own tokens see it whole, as an image in front of a text." };
        Option<bool> customOp = new("--custom-op") { Description = "One node s2attn::S2Attention, which needs libs2attn at run time, instead of a composition of ONNX's own operators. Also has input valid [B,N] (uint8)." };
        Option<string> dtype = new("--dtype") { Description = "f32, f16 or bf16; others than f32 with --custom-op.", DefaultValueFactory = _ => "f32" };
        Option<int> threads = new("--threads") { Description = "Threads of the operator of --custom-op; 0 for the processors of the machine.", DefaultValueFactory = _ => 1 };
        Option<FileInfo> output = new("--output") { Description = "The .onnx file to write.", Required = true };
        Command command = new("graph", "Write S2-Attn as an ONNX model with inputs q, k, v [B,N,H,D] and outputs o, lse.") { mask, groupSize, shift, axes, shifted, phases, rotated, prefix, whole, customOp, dtype, threads, output };
        NumberRange.MustBe(1, int.MaxValue, groupSize);
        NumberRange.MustBe(0, int.MaxValue, shift);
        NumberRange.MustBe(1, int.MaxValue, phases);
        NumberRange.MustBe(0, int.MaxValue, prefix);
        NumberRange.MustBe(0, MostThreads, threads);
        command.SetAction(result =>
        {
            try
            {
                string[] given = result.GetValue(axes) ?? [];
                if (result.GetValue(groupSize) is null == (given.Length == 0))
                    throw new ArgumentException("--group-size or --axis: one of them must be given");
                if (given.Length > 0 && (!result.GetValue(customOp) || result.GetValue(shift) is not null || result.GetValue(phases) is not null))
                    throw new ArgumentException($"--axis {given[0]}: needs --custom-op, and stands without --shift and --phases");
                int size = result.GetValue(groupSize) ?? 0;
                int by = result.GetValue(shift) ?? size / 2;
                string type = result.GetValue(dtype) ?? "";
                if (!ProtocolNames.TryReadElementType(type, out ElementType elementType) || (elementType is not ElementType.F32 && !result.GetValue(customOp)))
                    throw new ArgumentException($"--dtype {type}: must be f32 or, with --custom-op, f32, f16 or bf16");
                HeadShift heads = result.GetValue(phases) is { } count ? HeadShift.Phased(count, result.GetValue(rotated)) : HeadShift.SecondHalf;
                if (heads.HasOwnShifts && (!result.GetValue(customOp) || result.GetValue(shift) is not null))
                    throw new ArgumentException($"--phases {result.GetValue(phases)}: needs --custom-op, and stands without --shift");
                if (result.GetValue(rotated) && !heads.HasOwnShifts)
                    throw new ArgumentException("--rotated: needs --phases");
                if (given.Length == 0 && by >= size)
                    throw new ArgumentException($"--shift {by}: must be from 0 to {size - 1}, less than --group-size {size}");
                if (given.Length == 0 && result.GetResult(shifted) is { Implicit: false })
                    throw new ArgumentException("--shifted-heads: needs --axis");
                if (!result.GetValue(customOp) && result.GetResult(threads) is { Implicit: false })
                    throw new ArgumentException("--threads: needs --custom-op");
                if (!result.GetValue(customOp) && result.GetValue(mask) is not (MaskPolicy.LocalCausal or MaskPolicy.Split))
                    throw new ArgumentException($"--mask {result.GetValue(mask)}: must be LocalCausal or Split, or stand beside --custom-op");
                if (!result.GetValue(customOp) && size > S2AttnGraph.MaxGroupSize)
                    throw new ArgumentException($"--group-size {size}: must be at most {S2AttnGraph.MaxGroupSize}, or stand beside --custom-op: a graph holds a mask of G x G");
                if (result.GetValue(prefix) > 0 && given.Length > 0)
                    throw new ArgumentException($"--prefix {result.GetValue(prefix)}: must be left out beside --axis: a grid has no prefix");
                if (result.GetValue(whole) && result.GetValue(prefix) == 0)
                    throw new ArgumentException("--whole-prefix: needs a --prefix of at least 1");
                byte[] model = given.Length > 0 ? CustomOpGraph.Build(Grid(result.GetValue(mask), given, result.GetValue(shifted) ?? ""), elementType, result.GetValue(threads))
                    : result.GetValue(customOp)
                    ? CustomOpGraph.Build(result.GetValue(mask), size, by, elementType, heads, result.GetValue(threads), prefix: result.GetValue(prefix), isPrefixWhole: result.GetValue(whole))
                    : S2AttnGraph.Build(result.GetValue(mask), size, by, result.GetValue(prefix), result.GetValue(whole));
                ReportFiles.Try("--output", result.GetValue(output)!.FullName, path => WholeFile.Write(path, model));
                return 0;
            }
            catch (Exception error) when (error is ArgumentException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"s2attn graph: {error.Message}");
                return 2;
            }
        });
        return command;
    }

    // Heads are symbolic in a graph: one stands for them here.
    private static S2Grid Grid(MaskPolicy mask, string[] axes, string shifted)
    {
        HeadShift heads = new[] { HeadShift.None, HeadShift.SecondHalf, HeadShift.All }.FirstOrDefault(heads => heads.ToString() == shifted)
            ?? throw new ArgumentException($"--shifted-heads {shifted}: must be None, SecondHalf or All");
        GridAxis<int>[] all = [.. axes.Select(Axis)];
        long tokens = all.Aggregate(1L, (product, axis) => Math.Min(int.MaxValue, product * axis.Tokens));
        return S2Grid.Create(S2Config.Create(new() { Tokens = (int)tokens, HeadDim = 1, GroupSize = GroupSizeRule.Of((int)tokens), Shift = 0, Mask = mask, ShiftedHeads = heads }), all);
    }

    private static GridAxis<int> Axis(string text)
    {
        int[] numbers = [.. text.Split('/').Select(number => int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : throw Wrong())];
        return numbers switch
        {
            [var n, var g] => new(n, g, g / 2),
            [var n, var g, var s] => new(n, g, s),
            _ => throw Wrong(),
        };

        ArgumentException Wrong() => new($"--axis {text}: must be N/G or N/G/S, such as 56/7/3");
    }
}
