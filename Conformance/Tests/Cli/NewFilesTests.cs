// Is a command that writes several new files tried again in vain after it failed half way?
using S2Attn.Cli;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Cli;

public sealed class NewFilesTests
{
    [Fact]
    public void All_are_written_or_none() => SamplePortTests.InTemporary(directory =>
    {
        string first = Path.Combine(directory, "a", "first"), second = Path.Combine(directory, "a", "second");
        Assert.Throws<IOException>(() => NewFiles.Write([(first, Text), (second, () => throw new IOException("No space left on device"))]));
        Assert.False(File.Exists(first));
        NewFiles.Write([(first, Text), (second, Text)]);
        Assert.Equal(["1", "1"], new[] { first, second }.Select(File.ReadAllText));
        Assert.Contains($"{second} exists; nothing was written", Assert.Throws<IOException>(() => NewFiles.Write([(first + "2", Text), (second, Text)])).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(first + "2"));
    });

    private static MemoryStream Text() => new MemoryStream("1"u8.ToArray());
}
