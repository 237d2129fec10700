# Runs Debian's dockerd in namespaces of its own, all that it has in one folder. See engine.rs.
#
#   engine.sh FOLDER    FOLDER: an empty one, seen by others under the same name
set -e
folder=$1
mount --make-rprivate /
# Only version 2 of control groups, where engines look for it; and nothing of the machine's own.
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
echo '{}' >"$folder/config"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$folder" dockerd \
    --config-file "$folder/config" --data-root "$folder/data" --exec-root "$folder/exec" \
    --pidfile "$folder/pid" --host "unix://$folder/sock" --storage-driver vfs \
    --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
    --userland-proxy=false --exec-opt native.cgroupdriver=cgroupfs --shutdown-timeout 1
