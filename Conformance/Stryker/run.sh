#!/bin/bash
# run.sh PROJECT FOLDER [SECONDS [CLASS,...]]: mutants of Spec, Reference or Optimized against the tests of these classes, those that take no longer. What was found is kept in FOLDER, and a second
# run goes on there: also with more seconds or other tests, for what survived. Needs dotnet-stryker (STRYKER=path) and Conformance/Tests built in Release.
set -euo pipefail
project=$1 folder=$(mkdir -p "$2" && cd "$2" && pwd) seconds=${3:-0.3} here=$(cd "$(dirname "$0")" && pwd)
case $project in
  Spec) classes=ArithmeticTableTests,S2ConfigTests,MaskPictureTests,CountTests,SliceTests,PatternTests,GridTests,PrefixTests,AttentionTests,NullArgumentTests ;;
  Reference) classes=AttentionTests,ShapeTests,SliceAttentionTests,BoundFormulaTests,ErrorBoundTests,GridTests,PatternTests,NullArgumentTests ;;
  Optimized) classes=KernelArgumentTests,KernelPointerTests,TensorSpanTests ;;
esac
classes=${4:-$classes}
export RunAnalyzers=false DOTNET_TieredPGO=0
if [ ! -f "$folder/out/reports/mutation-report.json" ]; then
  (cd "$here" && S2ATTN_MUTANTS="$folder/mutated" "${STRYKER:-/tmp/stryker/dotnet-stryker}" -p "S2Attn.$project.csproj" -O "$folder/out" --skip-version-check)
fi
dotnet build -c Release -v quiet "$here"
mkdir -p "$folder/tests"
cp "$here"/../Tests/bin/Release/net10.0/*.dll "$folder/tests/"
cp "$folder/mutated/S2Attn.$project.dll" "$folder/tests/"
dotnet "$here/bin/Release/net10.0/S2Attn.Stryker.dll" "$folder/out/reports/mutation-report.json" "$folder/tests" "$classes" "$folder/results.txt" "$seconds"
