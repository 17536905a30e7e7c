// Does the suite survive a shared library that crashes, or that writes where it must not?
using S2Attn.Conformance.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Ports;

public sealed class HostileLibraryTests
{
    [RequiresToolFact("cc")]
    public void Each_misbehaviour_costs_one_case_and_is_named() => SamplePortTests.InTemporary(directory =>
    {
        string library = Path.Combine(directory, "hostile.so");
        SamplePortTests.Compile(
            "-shared", "-fPIC", "-I", SamplePortTests.Sample("c"), "-o", library,
            Path.Combine(Repository.Root, "Conformance", "Tests", "Ports", "hostile_library.c"));
        ProcessPortOptions options = new() { CaseLimit = TimeSpan.FromSeconds(15), TemporaryDirectory = directory };
        using (IAttentionPort port = PortFactory.CreateNative(options, library))
        {
            Expect(4, PortFailureKind.Crash, "");
            Expect(5, PortFailureKind.Error, "did not write o");
            Expect(6, PortFailureKind.Error, "wrote past the end of o");
            Expect(7, PortFailureKind.Error, "wrote before the start of lse");
            Expect(8, PortFailureKind.Error, "changed its input q");
            Expect(9, PortFailureKind.Declaration, "a reason");
            Expect(10, PortFailureKind.Error, "returned 2: a reason");
            Expect(11, PortFailureKind.Error, "returned 77");
            Expect(12, PortFailureKind.Crash, "SIGABRT");
            Expect(13, PortFailureKind.Crash, "with code 0");
            Expect(14, PortFailureKind.Timeout, "no answer within");
            Expect(15, PortFailureKind.Error, "wrote between the rows of o: element 3 of its storage", Gapped(15));
            Assert.IsType<PortAnswer.Forward>(port.Run(PortCases.Plain(16) with { Memory = Gapped(16) }));

            CaseMemory Gapped(int tokens) => new() { Views = CaseMemory.Dense.Views.Add("o", new(5 * tokens, 1, 5 * tokens, 5, 2)) };

            void Expect(int tokens, PortFailureKind kind, string message, CaseMemory? memory = null)
            {
                PortAnswer answer = port.Run(PortCases.Plain(tokens) with { Memory = memory ?? CaseMemory.Dense });
                Assert.True(
                    answer is PortAnswer.Failed failed && failed.Kind == kind && failed.Message.Contains(message, StringComparison.Ordinal), $"{tokens}: {answer}");
                PortAnswer.Forward fine = Assert.IsType<PortAnswer.Forward>(port.Run(PortCases.Plain(tokens: 32)));
                Assert.Empty(fine.LogSumExp);
            }
        }

        Assert.Equal([library], Directory.EnumerateFileSystemEntries(directory));
    });

    [RequiresToolFact("cc")]
    public void A_file_that_is_no_port_is_refused_with_the_reason() => SamplePortTests.InTemporary(directory =>
    {
        string text = Path.Combine(directory, "text.so"), empty = Path.Combine(directory, "empty.c"), library = Path.Combine(directory, "empty.so");
        File.WriteAllText(text, "no library");
        File.WriteAllText(empty, "int s2attn_nothing;\n");
        SamplePortTests.Compile("-shared", "-fPIC", "-o", library, empty);
        Assert.Contains("cannot be loaded", Refusal(text), StringComparison.Ordinal);
        Assert.Contains("no function s2attn_port_forward", Refusal(library), StringComparison.Ordinal);
        Assert.Contains("no library", Refusal(Path.Combine(directory, "missing.so")), StringComparison.Ordinal);

        static string Refusal(string path) => Assert.Throws<PortStartException>(() => PortFactory.CreateNative(new ProcessPortOptions(), path)).Message;
    });
}
