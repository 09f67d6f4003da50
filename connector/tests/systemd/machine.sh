#!/bin/sh
# A systemd user manager in namespaces of its own, below a control group of its own, with root's session bus. Commands
# come by standard input, one a line; each is answered with what it says and a line `= STATUS`. All ends with the
# standard input, and nothing stays.
#
#   unshare --mount machine.sh DIR
set -eu
dir=$1

if [ "${2-}" != inner ]; then
  mkdir "$dir/cgroup"
  mount -t cgroup2 none "$dir/cgroup"
  here=$dir/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
  group=$here/ddingtalk-test-$$
  mkdir "$group"
  # The last of them lets go when it is dead, which takes a moment.
  trap 'echo $$ >"$here/cgroup.procs"; until find "$group" -depth -type d -exec rmdir {} + 2>"$dir/rmdir"; do sleep 0.01; done' EXIT
  echo $$ >"$group/cgroup.procs"
  unshare --mount --cgroup --pid --fork --kill-child --mount-proc sh "$0" "$dir" inner
  exit
fi

mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
export XDG_RUNTIME_DIR=/run/user/0
mkdir -p /run/systemd/system /run/user "$dir/home"
mkdir -m 700 $XDG_RUNTIME_DIR
manager=/sys/fs/cgroup/user@0.service
mkdir "$manager" /sys/fs/cgroup/init.scope
echo 1 >/sys/fs/cgroup/init.scope/cgroup.procs
program=/usr/lib/systemd/systemd
[ -x $program ] || program=/lib/systemd/systemd
# shellcheck disable=SC2016 # the inner shell expands it
env -i HOME="$dir/home" PATH="$PATH" XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR sh -c '
  echo $$ >"$1/cgroup.procs"
  exec "$2" --user --unit=basic.target --log-target=console
' sh "$manager" "$program" </dev/null >"$dir/manager.txt" 2>&1 &

tries=0
until busctl --user get-property org.freedesktop.systemd1 /org/freedesktop/systemd1 \
  org.freedesktop.systemd1.Manager Version >"$dir/version" 2>"$dir/bus.txt"; do
  tries=$((tries + 1))
  if [ $tries -gt 100 ] || ! kill -0 $! 2>/dev/null; then
    tail -n 1 "$dir/manager.txt" "$dir/bus.txt" >&2
    exit 1
  fi
  sleep 0.05
done
cat "$dir/version"
echo '= 0'
while read -r line; do
  status=0
  timeout 60 sh -c "$line" </dev/null 2>&1 || status=$?
  printf '\n= %s\n' $status
done
