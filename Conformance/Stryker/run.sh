#!/bin/bash
# run.sh PROJECT FOLDER [SECONDS [CLASS,...]]: mutants of Spec, Reference or Optimized against the tests of these classes, those that take no longer. What was found is kept in FOLDER, and a second
# run goes on there: what survived meets more seconds, other classes and tests that were changed since. Needs dotnet-stryker (STRYKER=path) and Conformance/Tests built in Release; nothing else may build
# this tree meanwhile.
set -euo pipefail
project=$1 folder=$(mkdir -p "$2" && cd "$2" && pwd) here=$(cd "$(dirname "$0")" && pwd)
case $project in
  Spec) seconds=0.1 classes=ArithmeticTableTests,PrefixTableTests,S2ConfigTests,MaskPictureTests,CountTests,SliceTests,SliceAttentionTests,PatternTests,GridTests,PrefixTests,NullArgumentTests ;;
  Reference) seconds=1 classes=AttentionTests,ShapeTests,TensorTests,SliceAttentionTests,GridBoundTests,BoundFormulaTests,NullArgumentTests ;;
  Optimized) seconds=0.1 classes=KernelArgumentTests,KernelPointerTests,TensorSpanTests,KeyValueCacheTests ;;
esac
seconds=${3:-$seconds}
classes=${4:-$classes}
export RunAnalyzers=false DOTNET_TieredPGO=0
[ -f "$here/../Tests/bin/Release/net10.0/S2Attn.Tests.dll" ] || { echo "Conformance/Tests is not built: cd Conformance/Tests && dotnet build -c Release" >&2; exit 2; }
if [ ! -f "$folder/out/reports/mutation-report.json" ]; then
  (cd "$here" && S2ATTN_MUTANTS="$folder/mutated" "${STRYKER:-/tmp/stryker/dotnet-stryker}" -p "S2Attn.$project.csproj" -O "$folder/out" --skip-version-check)
fi
dotnet build -c Release -v quiet "$here"
mkdir -p "$folder/tests"
cp "$here"/../Tests/bin/Release/net10.0/*.dll "$folder/tests/"
cp "$folder/mutated/S2Attn.$project.dll" "$folder/tests/"
dotnet "$here/bin/Release/net10.0/S2Attn.Stryker.dll" "$folder/out/reports/mutation-report.json" "$folder/tests" "$classes" "$folder/results.txt" "$seconds"
