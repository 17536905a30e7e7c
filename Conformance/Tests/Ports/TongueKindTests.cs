// Is what a language invites named: signs of remainders, counting from 1, ends of ranges, memory that goes on?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;

namespace S2Attn.Tests.Ports;

public sealed class TongueKindTests
{
    private static readonly NumpyKinds Kinds = new("tongue_kinds.py");

    [RequiresNumpyTheory]
    [InlineData("remainder_keeps_its_sign", "position-negative")]
    [InlineData("size_t", "position-unsigned")]
    [InlineData("uint", "position-unsigned-32")]
    [InlineData("positions_from_one", "groups-counted-from-one")]
    [InlineData("tokens_from_one", "positions-counted-from-one")]
    [InlineData("run_from_one", "run-ends-one-early")]
    [InlineData("run_too_long", "run-ends-one-late")]
    [InlineData("past_of_a_group", "causal-in-first-group-alone")]
    [InlineData("sorted_as_texts", "positions-sorted-as-texts")]
    [InlineData("chunks_overlap", "half-a-group-before-seen")]
    [InlineData("clamped_slice", "last-window-moved-back")]
    [InlineData("stepped_range", "last-piece-dropped")]
    [InlineData("short_loop", "keys-of-own-block-missed-16-of-32")]
    [InlineData("scaled_in_place", "key-scaled-again-in-place")]
    [InlineData("heads_from_one", "kv-head-of-next")]
    [InlineData("over_the_next_head", "rolled-into-next-head")]
    [InlineData("windows_run_on", "windows-run-into-next-head")]
    [InlineData("rolled_where_longer_than_one", "rolled-along-entries-unless-one")]
    [InlineData("whole_groups_alone", "groups-rounded-down")]
    [InlineData("sum_of_columns", "delta-over-queries")]
    [InlineData("output_gradient_of_the_kv_head", "dv-of-another-head")]
    public void A_mistake_of_the_trial_in_other_languages_is_named(string kind, string name) => Kinds.AssertIs(kind, name);

    [RequiresNumpyTheory]
    [InlineData("halves_for_floats", "inputs-in-half", "rounded to 16 bits before anything is computed")]
    [InlineData("least_positive", "maximum-begins-at-zero", "far below 0")]
    public void A_habit_of_numbers_is_found_beside_a_right_structure(string kind, string habit, string said)
    {
        using ProcessPort port = Kinds.Start(kind);
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Contains(habit, diagnosis.Names);
        Assert.StartsWith("numpy-rows is LocalCausal: it equals the definition at all", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.Contains(said, diagnosis.Sentences[0], StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void A_cache_that_is_read_to_the_end_of_a_page_is_told_that_it_answers_by_what_was_asked_before()
    {
        using ProcessPort port = Kinds.Start("whole_pages");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.StartsWith("numpy-rows answers by what was asked before: the same call, put twice in a row, gives other answers, by more than rounding", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.DoesNotContain("elements of a vector", string.Join("\n", diagnosis.Sentences), StringComparison.Ordinal);
    }
}
