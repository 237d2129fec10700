# Boots a systemd of its own as process 1 of the process namespace that this runs in, on this machine's
# own /usr, with the bus and the journal and nothing else. See systemd.rs.
#
#   systemd.sh ROOT SHARED STEAD    ROOT: an empty folder; SHARED: seen inside under the same name, its
#                                   *.service are the units that there are; STEAD: the program
set -e
root=$1 shared=$2 stead=$3
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir -p usr etc/systemd/system var/lib/systemd run tmp proc sys dev mnt root
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$folder"; done
mount --rbind /usr usr
for file in passwd group nsswitch.conf ld.so.cache; do
    if [ -e "/etc/$file" ]; then cp "/etc/$file" etc/; fi
done
: >etc/machine-id
cp "$shared"/*.service etc/systemd/system/
cat >etc/systemd/system/trial.target <<'UNIT'
[Unit]
Wants=dbus.socket dbus.service
UNIT
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p ".$shared" ".${stead%/*}"
touch ".$stead"
mount --bind "$shared" ".$shared"
mount --bind "$stead" ".$stead"
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
exec env -i container=stead-trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=trial.target --log-target=console --show-status=no
