// Which line asks a port for something?
using System.Text;
using System.Text.Json;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>Writes requests of the port protocol, version 1, each as one line without its end.</summary>
internal static class PortRequests
{
    /// <summary>The version of the protocol.</summary>
    public const int ProtocolVersion = 1;

    /// <summary>Asks who the port is.</summary>
    public static string Describe(long id) => Line(json =>
    {
        json.WriteNumber("id", id);
        json.WriteString("op", "describe");
        json.WriteNumber("protocol", ProtocolVersion);
    });

    /// <summary>Asks the port to end.</summary>
    public static string Shutdown(long id) => Line(json =>
    {
        json.WriteNumber("id", id);
        json.WriteString("op", "shutdown");
    });

    /// <summary>Asks for one case, whose tensors are in a file.</summary>
    public static string Run(long id, PortCase portCase, string inputs, string outputs) => Line(json =>
    {
        json.WriteNumber("id", id);
        json.WriteString("op", ProtocolNames.Of(portCase.Operation));
        json.WriteString("inputs", inputs);
        json.WriteString("outputs", outputs);
        json.WritePropertyName("config");
        WriteConfig(json, portCase);
        if (portCase.IsSlice)
            SliceJson.Write(json, portCase.Part);
        MemoryJson.Write(json, portCase.Memory);
    });

    /// <summary>Writes the configuration of a case as the protocol has it.</summary>
    public static void WriteConfig(Utf8JsonWriter json, PortCase portCase)
    {
        S2Config config = portCase.Config;
        json.WriteStartObject();
        json.WriteNumber("groupSize", config.GroupSize);
        json.WriteNumber("shift", config.Shift);
        json.WriteString("mask", config.Mask.ToString());
        json.WritePropertyName("shiftedHeads");
        WriteHeads(json, config.ShiftedHeads.HasOwnShifts ? HeadShift.Of(Enumerable.Range(0, config.Heads).Select(head => config.ShiftOf(head) > 0)) : config.ShiftedHeads);
        WriteOwnShifts(json, config);
        json.WriteNumber("scale", config.Scale);
        json.WriteString("dtype", ProtocolNames.Of(portCase.ElementType));
        json.WriteNumber("batch", config.Batch);
        json.WriteNumber("tokens", config.Tokens);
        json.WriteNumber("heads", config.Heads);
        json.WriteNumber("kvHeads", config.KvHeads);
        json.WriteNumber("headDim", config.HeadDim);
        if (config.Prefix > 0)
            WritePrefix(json, config.Prefix, config.IsPrefixWhole);
        if (portCase.Grid is { } grid)
            GridJson.Write(json, grid.Axes);
        json.WriteEndObject();
    }

    // Since 1.1, and only where a port declares phases: one shift for each head, and how they came about where they are phases.
    private static void WriteOwnShifts(Utf8JsonWriter json, S2Config config)
    {
        if (!config.ShiftedHeads.HasOwnShifts)
            return;
        WriteShifts(json, Enumerable.Range(0, config.Heads).Select(config.ShiftOf));
        if (config.ShiftedHeads is HeadShift.InPhases phased)
            WritePhases(json, phased);
    }

    /// <summary>Writes one shift for each head.</summary>
    public static void WriteShifts(Utf8JsonWriter json, IEnumerable<int> shifts)
    {
        json.WriteStartArray("shifts");
        foreach (int shift in shifts)
            json.WriteNumberValue(shift);
        json.WriteEndArray();
    }

    /// <summary>Writes how many phases, and whether they are rotated.</summary>
    public static void WritePhases(Utf8JsonWriter json, HeadShift.InPhases phased)
    {
        json.WriteNumber("phases", phased.Count);
        json.WriteBoolean("rotated", phased.IsRotated);
    }

    /// <summary>Writes how many tokens of a prefix, and whether it is seen whole; since 1.3, and only where a port declares prefixes.</summary>
    public static void WritePrefix(Utf8JsonWriter json, int prefix, bool isWhole)
    {
        json.WriteNumber("prefix", prefix);
        json.WriteBoolean("prefixWhole", isWhole);
    }

    /// <summary>Writes the set of shifted heads: a name, or one boolean for each head.</summary>
    public static void WriteHeads(Utf8JsonWriter json, HeadShift heads)
    {
        if (heads is not HeadShift.Given given)
        {
            json.WriteStringValue(heads.ToString());
            return;
        }

        json.WriteStartArray();
        foreach (bool flag in given.Flags)
            json.WriteBooleanValue(flag);
        json.WriteEndArray();
    }

    /// <summary>One JSON object as one line.</summary>
    public static string Line(Action<Utf8JsonWriter> write)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
