// Is a port's command split as documented?
using S2Attn.Conformance.Ports;

namespace S2Attn.Tests.Ports;

public sealed class CommandTextTests
{
    [Theory]
    [InlineData("python3 my_port.py", "python3", "my_port.py")]
    [InlineData("  a\tb\n c ", "a", "b", "c")]
    [InlineData("a'b c'\"d\"", "ab cd")]
    [InlineData("a \"\" ''", "a", "", "")]
    [InlineData("a 'it''s' \"say \\\"hi\\\"\"", "a", "its", "say \"hi\"")]
    [InlineData("my\\ port \\'x\\'", "my port", "'x'")]
    [InlineData("C:\\ports\\p.exe \"C:\\my ports\\x\"", "C:\\ports\\p.exe", "C:\\my ports\\x")]
    [InlineData("p '\\' \\\\ \"\\\\\"", "p", "\\", "\\", "\\")]
    [InlineData("echo $HOME *.py | cat > x;y", "echo", "$HOME", "*.py", "|", "cat", ">", "x;y")]
    [InlineData("a\\", "a\\")]
    public void A_command_is_split_into_its_arguments(string command, params string[] arguments) =>
        Assert.Equal(arguments, CommandText.Split(command));

    [Theory]
    [InlineData("")]
    [InlineData("  ")]
    [InlineData("\"\" x")]
    [InlineData("python3 'my port.py")]
    [InlineData("python3 \"my port.py")]
    public void A_command_that_names_no_program_or_leaves_a_quote_open_is_refused(string command) =>
        Assert.Throws<FormatException>(() => CommandText.Split(command));
}
