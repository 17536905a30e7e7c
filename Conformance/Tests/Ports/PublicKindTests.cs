// Is code that is wrong in the ways in which public code is wrong named, and is the right one told so in one line?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Xray;

namespace S2Attn.Tests.Ports;

public sealed class PublicKindTests
{
    private static readonly NumpyKinds Kinds = new("public_kinds.py");

    [RequiresPythonFact("numpy")]
    public void A_discarded_reshape_and_a_tiled_block_of_the_mask_are_named_together() =>
        Kinds.AssertIs("discarded_reshape", "batch-mask-block+empty-row-average+ingroup-unshift");

    [RequiresPythonFact("numpy")]
    public void A_tiled_padding_mask_that_packs_rows_away_is_named() => Kinds.AssertIs("packed_block", "packed-batch-mask-block");

    [RequiresPythonFact("numpy")]
    public void An_unrolled_padding_mask_that_packs_rows_away_is_named_beside_the_roll_back() => Kinds.AssertIs("packed_unrolled", "packed-padding-not-rolled+ingroup-unshift");

    [RequiresPythonFact("numpy")]
    public void A_loop_that_loses_its_groups_is_named_with_its_floored_roll_and_its_unrolled_padding() =>
        Kinds.AssertIs("loop_without_effect", "longlora-odd-group+not-grouped+padding-not-rolled+empty-row-average");

    [RequiresPythonFact("numpy")]
    public void A_reshape_of_heads_first_is_named_beside_a_floored_roll() => Kinds.AssertIs("heads_first", "longlora-odd-group+head-token-scramble");

    [RequiresPythonFact("numpy")]
    public void Tokens_that_are_halved_where_heads_were_meant_are_named_beside_the_layout() => Kinds.AssertIs("halved_groups", "no-heads-shifted+groups-split-in-halves+output-heads-for-tokens");

    [RequiresPythonFact("numpy")]
    public void Projections_that_are_rolled_before_ordinary_attention_are_named() => Kinds.AssertIs("rolled_projections", "projections-rolled-alone");

    [RequiresPythonFact("numpy")]
    public void A_roll_into_shared_memory_is_told_from_one_before_the_repeat() => Kinds.AssertIs("shared_memory", "expanded-kv-rolled-in-place");

    [RequiresPythonFact("numpy")]
    public void The_mean_of_two_passes_is_named() => Kinds.AssertIs("two_passes", "passes-averaged");

    [RequiresPythonFact("numpy")]
    public void Zeros_that_fill_up_the_last_group_and_are_seen_are_named_beside_the_policy() => Kinds.AssertIs("filled_up", "LocalCausal+ragged-fill-seen");

    [RequiresPythonFact("numpy")]
    public void Unrepeated_kv_heads_that_are_halved_are_named_beside_the_full_attention_of_a_single_group() => Kinds.AssertIs("kv_halves", "kv-half-shifted-unless-one+full-attention-in-one-group");

    [RequiresPythonFact("numpy")]
    public void Full_attention_where_a_size_does_not_fit_is_named_with_the_sizes() => Kinds.AssertIs("gives_up", "full-attention-in-one-group-or-odd-heads");

    [RequiresPythonFact("numpy")]
    public void Attention_over_the_batch_is_named_beside_windows_that_overlap() => Kinds.AssertIs("over_the_batch", "windows-overlap-and-cut+attends-over-batch");

    [RequiresPythonFact("numpy")]
    public void Attention_over_the_heads_is_named() => Kinds.AssertIs("tokens_for_heads", "attends-over-heads");

    [RequiresPythonFact("numpy")]
    public void Rows_that_a_wrong_mask_leaves_empty_are_named_without_padding() => Kinds.AssertIs("without_diagonal", "mask-strict+empty-row-nan");

    [RequiresPythonFact("numpy")]
    public void Halves_that_are_joined_along_the_tokens_on_the_way_in_are_named() => Kinds.AssertIs("joined_along_tokens", "halves-joined-along-tokens-in");

    [RequiresPythonFact("numpy")]
    public void Rows_of_entries_that_are_rolled_for_halves_are_named_beside_their_padding() => Kinds.AssertIs("rows_of_halves", "later-entries-shifted+packed-padding-of-other-half");

    [RequiresPythonFact("numpy")]
    public void Rows_of_one_entry_that_are_one_memory_are_named()
    {
        using ProcessPort port = Kinds.Start("rows_of_one_memory");
        Assert.Contains("later-entries-shifted+expanded-kv-of-one-entry-rolled-in-place", Diagnosis.Of(port).Names);
    }

    [RequiresPythonFact("numpy")]
    public void Dilated_keys_are_named_with_the_mask_that_counts_them() => Kinds.AssertIs("dilated", "keys-dilated-by-quarters-and-counted");

    [RequiresPythonFact("numpy")]
    public void A_scale_of_0_is_named_beside_the_axis_that_is_taken_for_the_tokens() => Kinds.AssertIs("heads_first_unscaled", "no-heads-shifted+attends-over-heads+scale-zero");

    [RequiresPythonFact("numpy")]
    public void Zeros_that_fill_up_and_are_seen_are_named_where_every_head_shifts() => Kinds.AssertIs("filled_and_cut", "ragged-fill-seen-in-runs");

    [RequiresPythonFact("numpy")]
    public void Tokens_that_are_sliced_for_heads_before_the_roll_are_named_beside_the_layout() => Kinds.AssertIs("halved_tokens", "tokens-halved-for-heads+head-token-scramble");

    [RequiresPythonFact("numpy")]
    public void Keys_that_turn_inside_their_groups_are_named_beside_the_axis_that_is_taken_for_the_tokens() => Kinds.AssertIs("turned_keys", "keys-rolled-in-groups+attends-over-heads");

    [RequiresPythonFact("numpy")]
    public void A_window_of_one_key_more_than_a_group_is_named() => Kinds.AssertIs("window_and_one", "sliding-window-one-more");

    [RequiresPythonFact("numpy")]
    public void Windows_whose_length_depends_on_the_head_are_named() => Kinds.AssertIs("windows_by_quarters", "sliding-windows-by-quarters");

    [RequiresPythonFact("numpy")]
    public void A_first_group_that_the_roll_leaves_out_is_named() => Kinds.AssertIs("first_stays", "first-group-left-in-place");

    [RequiresPythonFact("numpy")]
    public void Tokens_that_are_dealt_out_instead_of_rolled_are_named() => Kinds.AssertIs("dealt_out", "no-heads-shifted+groups-dealt-out-behind-the-first");

    [RequiresPythonFact("numpy")]
    public void Zeros_over_what_the_roll_wrapped_are_named_as_one_mistake() => Kinds.AssertIs("wrapped_to_zero", "shifted-into-zeros");

    [RequiresNumpyTheory]
    [InlineData("packed_without_borders", "entries-not-cut")]
    [InlineData("last_takes_the_rest", "ragged-tail-joined")]
    [InlineData("borders_moved_on", "first-border-missing")]
    [InlineData("first_is_cut", "last-mask-in-first-group")]
    [InlineData("masks_by_entry", "mask-of-another-group")]
    [InlineData("view_of_the_kv_head", "kv-rolled-again-in-place")]
    [InlineData("one_kv_head_broadcast", "single-kv-head-not-rolled")]
    [InlineData("padding_for_the_mask", "mask-lost-beside-padding+empty-row-average")]
    [InlineData("lengths", "padding-as-length")]
    [InlineData("lse_left_behind", "lse-not-unshifted")]
    [InlineData("delta_by_token", "delta-not-rolled")]
    [InlineData("sums_of_tiles", "dkv-summed-over-tiled-heads")]
    [InlineData("viewed_and_back", "viewed-heads-first-after-repeat+output-heads-for-tokens")]
    [InlineData("accumulator_left", "accumulator-not-rescaled-in-tiles-of-16")]
    public void A_mistake_of_the_blind_trial_is_named(string kind, string name) => Kinds.AssertIs(kind, name);

    [RequiresPythonFact("numpy")]
    public void A_roll_of_the_flattened_tensor_is_said_first()
    {
        using ProcessPort port = Kinds.Start("rolled_without_an_axis");
        Assert.StartsWith("numpy-rows does not take the elements of a vector alike: the same scores give another o where they stand in the last element", Diagnosis.Of(port).Sentences[0], StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void A_mask_that_is_kept_without_its_shift_is_said_first()
    {
        using ProcessPort port = Kinds.Start("kept_segments");
        Assert.StartsWith("numpy-rows answers with the shift of an earlier call: the same sizes get the same answer whatever the shift", Diagnosis.Of(port).Sentences[0], StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void A_mask_that_takes_100_is_found_beside_a_right_structure()
    {
        using ProcessPort port = Kinds.Start("lowered");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.Contains("mask-lowers-by-100", diagnosis.Names);
        Assert.StartsWith("numpy-rows is BidirectionalSplit: it equals the definition at all", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.Contains("the mask takes only about 100 from it", diagnosis.Sentences[0], StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void Heads_of_half_the_width_are_said_first()
    {
        using ProcessPort port = Kinds.Start("narrow_heads");
        Assert.Matches(@"^numpy-rows has another head size than it is asked for: a head of width (\d+) is attended to as 2 heads of width \d+", Diagnosis.Of(port).Sentences[0]);
    }

    [RequiresPythonFact("numpy")]
    public void A_port_that_answers_for_a_single_group_alone_is_not_called_right()
    {
        using ProcessPort port = Kinds.Start("one_group_alone");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.False(diagnosis.Report.Single().IsDefinition);
        Assert.Matches("^numpy-rows is LocalCausal: it equals the definition at 1 of \\d+ probed sizes, and gives no answer where N > G, more than one group", diagnosis.Sentences[0]);
        Assert.StartsWith("To fix: let it answer where N > G, more than one group, or declare", diagnosis.Sentences[1], StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void A_shift_that_follows_no_known_rule_is_measured()
    {
        using ProcessPort port = Kinds.Start("three_tokens");
        Assert.StartsWith("numpy-rows is another-shift at all 7 probed sizes: The shift is another than S: 3 where G is 4 and S is 2", Diagnosis.Of(port).Sentences[0], StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void A_cap_of_the_scores_and_f64_in_f32_are_found_beside_a_right_structure()
    {
        using ProcessPort port = Kinds.Start("narrow_and_capped");
        string[] names = [.. Diagnosis.Of(port).Names];
        Assert.Contains("scores-capped", names);
        Assert.Contains("f64-computed-in-f32", names);
    }

    [RequiresPythonFact("numpy")]
    public void A_port_whose_groups_are_a_quarter_of_the_text_conforms_and_is_told_so_in_one_line()
    {
        using ProcessPort port = Kinds.Start("quarter");
        string line = Assert.Single(Verdict(port));
        Assert.StartsWith("numpy-rows is LocalCausal: it equals the definition at all", line, StringComparison.Ordinal);
        PropertyResult[] rows = [.. SuiteRunner.Results(new() { Seed = 1, Cases = 10 }, PropertyCatalogue.All, "quarter", port)];
        Assert.Empty(rows.Where(row => row.IsBad).Select(row => $"{row.Name}: {row.Counterexample[0].Case}: {row.Counterexample[0].Reason}"));
        Assert.Contains(PortLevel.Forward, ReportPort.Of("quarter", port.Description, rows, whole: true).Earned);
    }

    [RequiresPythonFact("numpy")]
    public void A_port_of_half_precision_alone_is_told_that_it_is_right_in_one_line()
    {
        using ProcessPort port = Kinds.Start("halfway");
        Assert.StartsWith("numpy-rows is LocalCausal: it equals the definition at all", Assert.Single(Verdict(port)), StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void A_swapped_roll_beside_a_mask_that_cuts_by_tokens_is_named()
    {
        const string Right = "position = (t - shift) % ring";
        string sample = File.ReadAllText(SamplePortTests.Sample("numpy", "numpy_port.py"));
        Assert.Contains(Right, sample, StringComparison.Ordinal);
        DirectoryInfo folder = Directory.CreateTempSubdirectory();
        try
        {
            string changed = Path.Combine(folder.FullName, "changed.py");
            File.WriteAllText(changed, sample.Replace(Right, "position = (t + shift) % ring", StringComparison.Ordinal));
            using ProcessPort port = ProcessPort.Start($"{PortTool.PythonWithNumpy} '{changed}'", new());
            Assert.StartsWith("numpy-rows is plus-direction-odd + cut-where-asked at all", Diagnosis.Of(port).Sentences[0], StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [RequiresPythonFact("numpy")]
    public void A_block_that_returns_its_input_is_told_that_tokens_see_themselves() => Kinds.AssertIs("input_returned", "itself-alone");

    [RequiresPythonFact("numpy")]
    public void A_tail_that_is_cut_off_behind_the_roll_is_named_beside_the_missing_mask() => Kinds.AssertIs("tail_cut_off", "rolled-and-cut+Bidirectional");

    [RequiresPythonFact("numpy")]
    public void Zeros_behind_what_was_rolled_are_named_beside_the_missing_mask() => Kinds.AssertIs("rolled_then_filled", "rolled-before-filling-seen+Bidirectional");

    [RequiresPythonFact("numpy")]
    public void A_roll_along_the_groups_is_named_beside_the_order_of_entries() => Kinds.AssertIs("groups_rolled", "groups-rolled+entries-before-groups");

    [RequiresPythonFact("numpy")]
    public void A_cut_in_the_first_group_is_named_beside_a_mask_that_only_lowers() => Kinds.AssertIs("cut_at_both_ends", "cut-in-first-group-too");

    [RequiresPythonFact("numpy")]
    public void A_mask_of_the_groups_before_the_roll_is_named() => Kinds.AssertIs("cut_at_old_borders", "cut-at-unshifted-groups");

    [RequiresPythonFact("numpy")]
    public void A_window_around_each_token_is_named() => Kinds.AssertIs("around", "half-a-group-around-seen");

    [RequiresPythonFact("numpy")]
    public void Heads_that_see_all_beside_heads_in_groups_are_named_beside_an_empty_row() => Kinds.AssertIs("half_of_heads_whole", "full-attention-in-shifted-heads+empty-row-average");

    [RequiresPythonFact("numpy")]
    public void A_product_of_the_padding_with_itself_is_named_beside_what_it_adds() => Kinds.AssertIs("padding_of_both", "padding-of-pairs+mask-adds-10000");

    [RequiresPythonFact("numpy")]
    public void Copies_of_the_last_token_that_fill_up_are_named() => Kinds.AssertIs("filled_as_edge", "Bidirectional+ragged-fill-repeats-last");

    [RequiresPythonFact("numpy")]
    public void Reflected_tokens_that_fill_up_are_named() => Kinds.AssertIs("filled_as_reflect", "Bidirectional+ragged-fill-reflects");

    [RequiresPythonFact("numpy")]
    public void A_text_that_is_stretched_to_whole_groups_is_named() => Kinds.AssertIs("stretched", "ragged-text-stretched");

    [RequiresPythonFact("numpy")]
    public void Groups_of_every_other_token_are_named_beside_the_shift_that_is_missing() => Kinds.AssertIs("every_other_token", "no-heads-shifted+groups-of-every-other-token");

    [RequiresPythonFact("numpy")]
    public void A_mask_that_looks_ahead_in_the_later_groups_is_named() => Kinds.AssertIs("looks_ahead", "no-heads-shifted+later-groups-look-ahead");

    [RequiresPythonFact("numpy")]
    public void Heads_that_take_every_other_token_and_leave_the_rows_between_are_named() => Kinds.AssertIs("dilated_heads", "heads-dilated-in-groups");

    [RequiresPythonFact("numpy")]
    public void A_roll_behind_attention_is_named_as_one() => Kinds.AssertIs("rolled_for_the_next", "rolled-behind-attention");

    [RequiresPythonFact("numpy")]
    public void Scores_that_do_not_grow_with_the_query_are_told_so_first()
    {
        using ProcessPort port = Kinds.Start("cosine");
        Diagnosis diagnosis = Diagnosis.Of(port);
        Assert.StartsWith("numpy-rows normalises q and k before it multiplies them: scores do not grow with q, they differ by 10 whatever", diagnosis.Sentences[0], StringComparison.Ordinal);
        Assert.StartsWith("To fix: Multiply q.k as they are given", diagnosis.Sentences[1], StringComparison.Ordinal);
    }

    [RequiresPythonFact("numpy")]
    public void A_port_that_returns_one_number_everywhere_is_told_so_first()
    {
        using ProcessPort port = Kinds.Start("sevens");
        Assert.StartsWith("numpy-rows returns one number whatever q, k and v are: every element of o is 7 at every size", Diagnosis.Of(port).Sentences[0], StringComparison.Ordinal);
    }

    private static string[] Verdict(IAttentionPort port) => [.. Diagnosis.Of(port).Report.Single().Verdict];
}
