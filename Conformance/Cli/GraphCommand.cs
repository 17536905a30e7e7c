// s2attn graph: writes S2-Attn as an ONNX model.
using System.CommandLine;
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Cli;

internal static class GraphCommand
{
    public static Command Create()
    {
        Option<MaskPolicy> mask = new("--mask") { Description = "LocalCausal or Split.", Required = true };
        Option<int> groupSize = new("--group-size") { Description = "G, tokens of a group.", Required = true };
        Option<int?> shift = new("--shift") { Description = "S, by how many tokens the second half of the heads is shifted; G / 2 where not given." };
        Option<FileInfo> output = new("--output") { Description = "The .onnx file to write.", Required = true };
        Command command = new("graph", "Write S2-Attn as an ONNX model with inputs q, k, v [B,N,H,D] and outputs o, lse.") { mask, groupSize, shift, output };
        command.SetAction(result =>
        {
            try
            {
                int size = result.GetValue(groupSize);
                byte[] model = S2AttnGraph.Build(result.GetValue(mask), size, result.GetValue(shift) ?? size / 2);
                WholeFile.Write(result.GetValue(output)!.FullName, model);
                return 0;
            }
            catch (Exception error) when (error is ArgumentException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine(error.Message);
                return 2;
            }
        });
        return command;
    }
}
