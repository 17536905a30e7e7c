// How is a port of this process offered to others over the port protocol?
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Safetensors;

namespace S2Attn.Conformance.Ports;

/// <summary>The other side of <see cref="ProcessPort"/>: answers requests until shutdown or the end of input.</summary>
public static class PortHost
{
    /// <summary>Serves a port.</summary>
    /// <param name="port">The port; it is not disposed.</param>
    /// <param name="input">Requests, one JSON object a line.</param>
    /// <param name="output">Receives the answers.</param>
    public static void Serve(IAttentionPort port, Stream input, Stream output)
    {
        ArgumentNullException.ThrowIfNull(port);
        UTF8Encoding utf8 = new(encoderShouldEmitUTF8Identifier: false);
        using StreamReader reader = new(input, utf8);
        using StreamWriter writer = new(output, utf8) { AutoFlush = true, NewLine = "\n" };
        while (reader.ReadLine() is { } line)
        {
            JsonElement request;
            try
            {
                using JsonDocument document = JsonDocument.Parse(line);
                request = document.RootElement.Clone();
            }
            catch (JsonException)
            {
                // Without an id there is no way to answer.
                continue;
            }

            if (Text(request, "op") == "shutdown")
                return;
            writer.WriteLine(Answer(port, request));
        }
    }

    private static string Answer(IAttentionPort port, JsonElement request)
    {
        try
        {
            string op = Text(request, "op");
            if (op == "describe")
                return Ok(json => PortDescriptions.Write(json, port.Description));
            if (!ProtocolNames.TryReadOperation(op, out PortOperation operation))
                return Refused("unsupported", $"op {op}");
            (S2Attn.Spec.S2Config config, ElementType elementType) = ReadConfig(request);
            S2Attn.Spec.S2Grid? grid = GridJson.Read(new("config", request.GetProperty("config")), config);
            PortCase portCase = PortTensors.ReadInputs(SliceJson.Read(config, request), elementType, operation, MemoryJson.Read(request), SafetensorsReader.Read(Text(request, "inputs")));
            portCase = grid is null ? portCase : portCase with { Grid = grid };
            switch (port.Run(portCase))
            {
                case PortAnswer.Unsupported unsupported:
                    return Refused("unsupported", unsupported.Reason);
                case PortAnswer.Failed failed:
                    return Refused("error", failed.Message);
                case var answer:
                    SafetensorsWriter.Write(Text(request, "outputs"), PortTensors.Outputs(elementType, portCase.Memory, answer));
                    return Ok(_ => { });
            }
        }
        catch (Exception error) when (error is FormatException or SafetensorsException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            return Refused("error", error.Message);
        }

        string Ok(Action<Utf8JsonWriter> write) => PortRequests.Line(json =>
        {
            WriteId(json);
            json.WriteBoolean("ok", true);
            write(json);
        });

        string Refused(string field, string reason) => PortRequests.Line(json =>
        {
            WriteId(json);
            json.WriteBoolean("ok", false);
            json.WriteString(field, reason);
        });

        void WriteId(Utf8JsonWriter json)
        {
            json.WritePropertyName("id");
            if (request.ValueKind is JsonValueKind.Object && request.TryGetProperty("id", out JsonElement id))
                id.WriteTo(json);
            else
                json.WriteNullValue();
        }
    }

    private static (S2Attn.Spec.S2Config Config, ElementType ElementType) ReadConfig(JsonElement request) =>
        request.TryGetProperty("config", out JsonElement config) ? PortConfigs.Read(config) : throw new FormatException("the request has no config");

    private static string Text(JsonElement request, string name) =>
        request.ValueKind is JsonValueKind.Object && request.TryGetProperty(name, out JsonElement value) && value.ValueKind is JsonValueKind.String
            ? value.GetString()!
            : "";
}
