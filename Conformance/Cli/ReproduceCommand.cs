// s2attn reproduce: does a port still answer one kept question wrongly?
using System.CommandLine;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reproducers;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Validation;

namespace S2Attn.Cli;

internal static class ReproduceCommand
{
    private const int Disagrees = 1, BadUsage = 2;

    public static Command Create()
    {
        Argument<FileInfo> file = new("file.safetensors") { Description = "A reproducer, written by s2attn check --reproducers." };
        Command command = new(
            "reproduce", "Put the one question of a reproducer to a port, and show the first element that is wrong. Exit code: 0 agrees, 1 does not, 2 bad usage or input, or the port does not claim the case.")
        {
            file,
        };
        PortOptions ports = new(command);
        command.SetAction(parsed =>
        {
            try
            {
                Reproducer reproducer = ReproducerFile.Read(parsed.GetRequiredValue(file).ToString());
                using IAttentionPort port = ports.Open(parsed);
                return Run(reproducer, port);
            }
            catch (Exception error) when (error is SafetensorsException or PortStartException or FormatException or TroubleException or IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"s2attn reproduce: {error.Message}");
                return BadUsage;
            }
        });
        return command;
    }

    private static int Run(Reproducer reproducer, IAttentionPort port)
    {
        ReproducerOrigin origin = reproducer.Origin;
        Console.WriteLine($"{origin.Property}, found with {origin.Port}, seed {origin.Seed}: {ProtocolNames.Of(reproducer.Case.Operation)} {ReproducerFile.ConfigText(reproducer.Case)}");
        if (PortSupport.Lacks(port.Description.Capabilities, reproducer.Case) is { IsEmpty: false } lacks)
        {
            Console.Error.WriteLine($"s2attn reproduce: {port.Description.Name} does not claim the case: {string.Join(", ", lacks)}");
            return BadUsage;
        }

        PortAnswer answer = PortCalls.Ask(port, reproducer.Case);
        Interruption.Token.ThrowIfCancellationRequested();
        Difference[] differences = [.. Reproducer.Differences(reproducer.Expected, answer)];
        if (differences.Length == 0)
        {
            Console.WriteLine($"{port.Description.Name} agrees: every element is within its bound");
            return 0;
        }

        Console.WriteLine($"{port.Description.Name} does NOT agree: {differences[0].Text}");
        if (differences.Length > 1)
            Console.WriteLine($"and {differences.Length - 1} elements more");
        return Disagrees;
    }
}
