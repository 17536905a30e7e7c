// What would somebody write into a reply, a declaration, a manifest or a report to bring the suite down?
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;

namespace S2Attn.Conformance.Campaigns;

/// <summary>Changes honest JSON in one to four places: values of other kinds and sizes, fields that are gone or new, broken text.</summary>
public static class HostileInput
{
    // Numbers at every edge, texts that a terminal obeys or a file system refuses, containers where none belong.
    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "-1", "1", "2", "3", "7", "1000", "1000000", "2147483647", "2147483648", "-2147483648", "4294967296", "1099511627776",
        "9223372036854775807", "9223372036854775808", "1e999", "-1e999", "1e-999", "0.5", "-0.0", "1e3",
        "\"\"", "\"\\u0000\"", "\"a\\u0000b\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u001b[2J\"", "\"\\n holds  port\"", "\"\\u202egnorw\"", "\"\\ud83d\\ude00\"", "\"..\"",
        "\"../../etc/passwd\"", "\"/dev/zero\"", "\"default\"", "\"half\"", "\"None\"", "\"Split\"", "\"f32\"", "\"forward\"", "\"<script>alert(1)</script>\"",
        "[]", "{}", "[[]]", "[{}]", "[1]", "[true]", "[true,false]", "[\"f32\",\"f32\"]", "{\"a\":{\"b\":[]}}", "[null]", "{\"min\":2,\"max\":1}", "{\"multipleOf\":0}", "{\"even\":true}", "[0]",
    ];

    private static readonly string[] Broken = ["{", "}", "[", "]", ",", ":", "\"", "\\", "\\u12", "\0", "\n", "\u00ff", "//", "NaN", "Infinity", "\"id\":1,", "\"ok\":false,"];

    /// <summary>The text with changes that the seed decides.</summary>
    public static IEnumerable<byte[]> Of(string honest, int count, int seed)
    {
        Gen<byte[]> gen =
            from changes in Gen.Choose(1, 4)
            from kinds in Gen.Choose(0, 11).ListOf(changes)
            from places in Gen.Choose(0, int.MaxValue - 1).ListOf(changes)
            from values in Gen.Choose(0, int.MaxValue - 1).ListOf(changes)
            select kinds.Zip(places, values).Aggregate(Encoding.UTF8.GetBytes(honest), (text, change) => Change(text, change.First, change.Second, change.Third));
        return gen.Sample(count, new Rnd((ulong)seed, (ulong)(2 * seed) + 1), 50);
    }

    private static byte[] Change(byte[] text, int kind, int place, int value) => kind switch
    {
        0 => text[..(place % (text.Length + 1))],
        1 => [.. text[..(place % (text.Length + 1))], .. Encoding.UTF8.GetBytes(Broken[value % Broken.Length]), .. text[(place % (text.Length + 1))..]],
        2 when text.Length > 0 => [.. text[..(place % text.Length)], (byte)value, .. text[(place % text.Length + 1)..]],
        _ => InTree(text, kind, place, value),
    };

    private static byte[] InTree(byte[] text, int kind, int place, int value)
    {
        JsonNode? root;
        try
        {
            root = JsonNode.Parse(text);
        }
        catch (Exception error) when (error is System.Text.Json.JsonException or ArgumentException)
        {
            return text;
        }

        try
        {
            (JsonNode Parent, string Name, int At)[] nodes = [.. Below(root)];
            if (nodes.Length == 0)
                return Encoding.UTF8.GetBytes(Values[value % Values.Length]);
            (JsonNode parent, string name, int at) = nodes[place % nodes.Length];
            JsonNode? changed = kind == 3 ? null : JsonNode.Parse(kind == 4 ? Long(value) : Values[value % Values.Length]);
            if (parent is JsonObject owner)
                _ = kind switch
                {
                    3 => owner.Remove(name),
                    5 => owner.TryAdd(name + "x", changed),
                    _ => Set(owner, name, changed),
                };
            else if (parent is JsonArray list)
                _ = kind switch
                {
                    3 => Removed(list, at),
                    5 => Added(list, changed),
                    _ => Replaced(list, at, changed),
                };
            return Encoding.UTF8.GetBytes(root!.ToJsonString());
        }
        catch (Exception error) when (error is InvalidOperationException or ArgumentException)
        {
            // A name stands twice, or holds a lone surrogate: what is there is hostile enough.
            return text;
        }
    }

    private static IEnumerable<(JsonNode Parent, string Name, int At)> Below(JsonNode? node)
    {
        if (node is JsonObject owner)
            foreach ((string name, JsonNode? child) in owner.ToArray())
            {
                yield return (owner, name, 0);
                foreach (var below in Below(child))
                    yield return below;
            }

        if (node is JsonArray list)
            for (int i = 0; i < list.Count; i++)
            {
                yield return (list, "", i);
                foreach (var below in Below(list[i]))
                    yield return below;
            }
    }

    private static string Long(int value) => (value % 4) switch
    {
        0 => $"\"{new string('n', 100_000)}\"",
        1 => $"[{string.Join(",", Enumerable.Repeat("true", 20_000))}]",
        2 => new string('[', 60) + new string(']', 60),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value}"),
    };

    private static bool Set(JsonObject owner, string name, JsonNode? value)
    {
        owner[name] = value;
        return true;
    }

    private static bool Removed(JsonArray list, int at)
    {
        list.RemoveAt(at);
        return true;
    }

    private static bool Added(JsonArray list, JsonNode? value)
    {
        list.Add(value);
        return true;
    }

    private static bool Replaced(JsonArray list, int at, JsonNode? value)
    {
        list[at] = value;
        return true;
    }
}
