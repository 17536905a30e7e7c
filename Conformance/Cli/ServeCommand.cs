// s2attn serve: offers a port over stdin and stdout, as any other command that speaks the port protocol.
using System.CommandLine;
using S2Attn.Conformance.Ports;

namespace S2Attn.Cli;

internal static class ServeCommand
{
    public static Command Create()
    {
        Option<string> native = new("--native") { Description = "A shared library that exports the functions of s2attn_port.h." };
        Option<string> port = new("--port") { Description = $"A built-in port: {string.Join(", ", PortFactory.BuiltIn.Keys)}." };
        Option<string> onnx = new("--onnx") { Description = "An ONNX model with inputs q, k, v and output o." };
        Option<string[]> onnxConfig = new("--onnx-config") { Description = "What the model's metadata does not say, as groupSize=4.", DefaultValueFactory = _ => [] };
        Command command = new("serve", "Answer the port protocol on stdin and stdout.") { native, port, onnx, onnxConfig };
        command.SetAction(result =>
        {
            if (result.GetValue(native) is { } library)
                return Serve(() => new NativeLibraryPort(library));
            if (result.GetValue(onnx) is { } model)
                return Serve(() => new OnnxPort(model, result.GetValue(onnxConfig) ?? []));
            if (result.GetValue(port) is { } name && PortFactory.BuiltIn.TryGetValue(name, out Func<IAttentionPort>? create))
                return Serve(create);
            Console.Error.WriteLine($"s2attn serve: needs --native LIBRARY, --onnx MODEL or --port with one of {string.Join(", ", PortFactory.BuiltIn.Keys)}.");
            return 2;
        });
        return command;
    }

    private static int Serve(Func<IAttentionPort> create)
    {
        using Stream output = ProtocolStreams.TakeOutput();
        try
        {
            using IAttentionPort port = create();
            PortHost.Serve(port, Console.OpenStandardInput(), output);
            return 0;
        }
        catch (Exception error) when (error is PortStartException or FormatException)
        {
            Console.Error.WriteLine($"s2attn serve: {error.Message}");
            return 2;
        }
    }
}
