// Does training through the kernel's gradients learn what only a shifted head can see?
using S2Attn.Examples;

namespace S2Attn.Tests.Examples;

public sealed class CopyTaskTests
{
    private const int Steps = 60;

    [Fact]
    public void Shifted_heads_learn_to_copy_across_a_group_border() => Assert.InRange(LossAfterTraining(shifted: true), 0, 0.1 * CopyTask.Chance);

    [Fact]
    public void Unshifted_groups_stay_at_chance() => Assert.InRange(LossAfterTraining(shifted: false), 0.98 * CopyTask.Chance, double.MaxValue);

    private static double LossAfterTraining(bool shifted)
    {
        using CopyTask task = new(shifted, seed: 7);
        double loss = CopyTask.Chance;
        for (int step = 0; step < Steps; step++)
            loss = task.Step();
        return loss;
    }
}
