// Does the suite itself round to the nearest number of a format, once, ties to even?
using S2Attn.Conformance.Ports;

namespace S2Attn.Tests.Ports;

public sealed class ElementTypeTests
{
    /// <summary>
    /// Beside every finite number of 16 bits: it, the middle between it and the next one, and the doubles next to these. A rounding in two steps takes what lies next to a middle for the
    /// middle; past the last middle is infinity.
    /// </summary>
    [Theory]
    [InlineData(ElementType.F16)]
    [InlineData(ElementType.BF16)]
    public void Every_number_its_middle_and_their_neighbours_are_rounded_to_the_nearest(ElementType type)
    {
        int infinity = type is ElementType.F16 ? 0x7C00 : 0x7F80;
        for (int bits = 0; bits < infinity; bits++)
        {
            double here = ValueOf(bits), next = bits + 1 < infinity ? ValueOf(bits + 1) : 2 * here - ValueOf(bits - 1), above = bits + 1 < infinity ? next : double.PositiveInfinity;
            double middle = (here + next) / 2;
            Check(here, here);
            Check(Math.BitIncrement(here), here);
            Check(Math.BitDecrement(middle), here);
            Check(middle, bits % 2 == 0 ? here : above);
            Check(Math.BitIncrement(middle), above);
        }

        Assert.True(double.IsNaN(type.Round(double.NaN)));
        Check(double.PositiveInfinity, double.PositiveInfinity);
        Check(double.MaxValue, double.PositiveInfinity);

        void Check(double value, double expected)
        {
            if (type.Round(value) != expected || type.Round(-value) != -expected)
                Assert.Fail($"{type} of {value:R} is {type.Round(value):R}, not {expected:R}");
        }

        double ValueOf(int bits) => type is ElementType.F16 ? (double)BitConverter.UInt16BitsToHalf((ushort)bits) : BitConverter.UInt32BitsToSingle((uint)bits << 16);
    }
}
