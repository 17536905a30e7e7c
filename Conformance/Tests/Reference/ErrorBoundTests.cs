// Does the error bound hold for rounded arithmetic, and is it tight enough to see one key?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Optimized;

namespace S2Attn.Tests.Reference;

public sealed class ErrorBoundTests
{
    private static readonly ElementType[] FloatTypes = [ElementType.F32, ElementType.F16, ElementType.BF16];

    [Fact]
    public void Float_arithmetic_in_any_order_of_the_keys_stays_within_the_bound()
    {
        Prop.ForAll(
            Arb.From(KernelCases.UpTo(64, 64, FloatTypes), KernelCases.Shrink),
            item => Within(item, new FloatAttention(item.Seed, KeyBlock: 16 * (item.Seed % 3), StoresIntermediates: item.Seed % 5 == 0)))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    private static Property Within(KernelCase item, FloatAttention implementation)
    {
        PortCase portCase = item.Forward();
        TensorAgreement[] agreements = [.. Agreement.Compare(portCase, implementation.Forward(portCase), Agreement.ModelOf(item.Type))];
        return agreements.All(agreement => agreement.Agrees).Label(string.Join("; ", agreements.AsEnumerable()));
    }
}
