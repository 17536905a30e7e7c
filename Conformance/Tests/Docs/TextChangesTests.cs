// Does a table that is out of date fail with the name of the row that changed?
namespace S2Attn.Tests.Docs;

public sealed class TextChangesTests
{
    [Fact]
    public void A_changed_row_is_named_with_what_it_lost_and_gained() => Assert.Equal(
        ["Agreement.Output: lost hard-max; gained naive-exp"],
        TextChanges.Changes("# t\nAgreement.Output: unnormalised, hard-max\nCost: a\n", "# t\nAgreement.Output: unnormalised, naive-exp\nCost: a\n"));

    [Fact]
    public void A_row_that_came_or_went_is_named() => Assert.Equal(
        ["Reach: gone; it was Reach: a", "Cost: new; Cost: b"],
        TextChanges.Changes("Reach: a\n", "Cost: b\n"));

    [Fact]
    public void A_cell_of_a_Markdown_table_is_named_by_row_and_column() => Assert.Equal(
        ["kv-modulo: column 3 was \"x\", is \"\""],
        TextChanges.Changes("| kv-modulo | x | x |\n| other | x | x |\n", "| kv-modulo | x |  |\n| other | x | x |\n"));

    [Fact]
    public void Rows_of_one_name_and_another_order_are_seen()
    {
        Assert.Equal(["a (row 2 of this name): lost 2; gained 3"], TextChanges.Changes("a: 1\na: 2\n", "a: 1\na: 3\n"));
        Assert.Equal(["the same rows in another order: b stands elsewhere"], TextChanges.Changes("a: 1\nb: 2\n", "b: 2\na: 1\n"));
    }

    [Fact]
    public void A_message_does_not_repeat_the_table()
    {
        string recorded = string.Concat(Enumerable.Range(0, 500).Select(i => $"row{i}: same\n"));
        string message = Assert.ThrowsAny<Exception>(() => TextChanges.AssertSame("file.txt", recorded, recorded.Replace("row77: same", "row77: other", StringComparison.Ordinal))).Message;
        Assert.Contains("row77: lost same; gained other", message, StringComparison.Ordinal);
        Assert.Contains("file.txt", message, StringComparison.Ordinal);
        Assert.DoesNotContain("row78", message, StringComparison.Ordinal);
    }
}
