# Shared by the scripts of this folder, which source it: steps that say what they do, how long it took, and show their
# output only when they fail.

# step NAME COMMAND [ARG ...]: runs the command, quietly. Returns its exit status.
step() {
  local name=$1 log status=0 start=$SECONDS
  shift
  log=$(mktemp)
  printf '%-36s ' "$name"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -eq 0 ]; then
    printf 'ok %4d s\n' $((SECONDS - start))
  else
    printf 'FAILED %4d s, exit status %d\n' $((SECONDS - start)) "$status"
    tail -n 200 "$log" | sed 's/^/    /'
  fi
  rm -f "$log"
  return "$status"
}
